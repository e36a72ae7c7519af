"""Two clients change the same document; the second sees the conflict and settles it.

Start ``make run``, then, in another shell::

    . .syncapi/dev.env
    .venv/bin/python examples/conflict.py

It needs nothing of syncapi's but HTTP.
"""

import os
import uuid
from typing import Any

import httpx

Json = dict[str, Any]


class Client:
    """A device with a copy of its own: what it last saw of each document."""

    def __init__(self, name: str, http: httpx.Client) -> None:
        self.name = name
        self._http = http
        self._documents: dict[str, Json] = {}
        self._token: str | None = None

    def pull(self) -> None:
        """Bring the copy up to date."""
        has_more = True
        while has_more:
            start = {"cursor": self._token} if self._token else {"since": "1970-01-01T00:00:00Z"}
            page = self._data(self._http.get("/documents/sync", params=start))
            for document in page["added"] + page["modified"]:
                self._documents[document["id"]] = document
            for tombstone in page["deleted"]:
                self._documents.pop(tombstone["id"], None)
            self._token, has_more = page["sync_token"], page["has_more"]

    def name_of(self, document: str) -> str:
        return str(self._documents[document]["filename"])

    def rename(self, document: str, name: str, base: str | None = None) -> Json:
        """Push a new name, made from the version that this client has, or from `base`."""
        change = {
            "op": "update",
            "change_id": str(uuid.uuid4()),
            "id": document,
            "base_updated_at": base or self._documents[document]["updated_at"],
            "filename": name,
        }
        answer = self._http.post("/documents/sync", json={"changes": [change]})
        result: Json = self._data(answer)["results"][0]
        print(f"{self.name} pushes {name!r}: {result['status']}")
        return result

    @staticmethod
    def _data(answer: httpx.Response) -> Json:
        body: Json = answer.json()
        if answer.is_error:
            raise SystemExit(f"{answer.status_code} {body['code']}: {body['detail']}")
        data: Json = body["data"]
        return data


def main() -> None:
    url = f"{os.environ['SYNCAPI_URL']}/api/tenants/{os.environ['SYNCAPI_TENANT']}"
    headers = {"Authorization": f"Bearer {os.environ['SYNCAPI_TOKEN']}"}
    with httpx.Client(base_url=url, headers=headers, timeout=30) as http:
        laptop, phone = Client("laptop", http), Client("phone", http)
        uploaded = http.post("/documents", files={"file": ("plan.txt", b"The plan.")}).json()
        document = uploaded["data"]["document"]["id"]
        laptop.pull()
        phone.pull()

        laptop.rename(document, "plan of the laptop.txt")
        refused = phone.rename(document, "plan of the phone.txt")

        conflict = refused["conflict"]
        print(f"  the phone started from {conflict['base']['filename']!r}")
        print(f"  the server has         {conflict['server']['filename']!r}")
        print(f"  they differ in         {', '.join(conflict['fields'])}")

        phone.rename(document, "plan of both.txt", base=conflict["server"]["updated_at"])
        laptop.pull()
        phone.pull()
        print(f"laptop has {laptop.name_of(document)!r}, phone has {phone.name_of(document)!r}")

        history = http.get(f"/documents/{document}/history").json()["data"]["versions"]
        print("history: " + ", ".join(version["filename"] for version in history))


if __name__ == "__main__":
    main()
