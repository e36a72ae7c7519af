"""``syncapi logout``: forget an account and its token."""

from syncapi.cli.client.accounts import DEFAULT_ACCOUNT, accounts, find_account
from syncapi.cli.client.arguments import AccountName, verb_app
from syncapi.cli.client.console import AsEvents, Quiet, Speaker, speaking
from syncapi.cli.client.credentials import forget
from syncapi.cli.client.registry import folders
from syncapi.cli.printable import name_shown

app = verb_app()


@app.command()
def logout(
    account: AccountName = DEFAULT_ACCOUNT, as_json: AsEvents = False, quiet: Quiet = False
) -> None:
    """Forget a login and its token. Folders stay, and wait until you log in again."""
    with speaking(speaker := Speaker(as_json, quiet)):
        leaving = find_account(account)
        with accounts().change() as known:
            known.accounts.pop(account, None)
        forget(leaving.token)
        waiting = [f.path for f in folders().read().folders if f.account == account]
        said = "".join(f"\n  {name_shown(path)} waits until you log in again" for path in waiting)
        speaker.say(
            f"Logged out of {leaving.url}.{said}",
            "logged_out",
            account=account,
            waiting=[str(path) for path in waiting],
        )
