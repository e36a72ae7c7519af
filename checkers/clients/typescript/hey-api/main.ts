// The client that @hey-api/openapi-ts makes.

import { randomUUID } from "node:crypto";
import { createClient, type Client as ApiClient } from "./generated/client/index.js";
import {
  createDocument,
  downloadArchive,
  getDocument,
  pullChanges,
  pushChanges,
} from "./generated/sdk.gen.js";
import type {
  Document as GeneratedDocument,
  Problem as GeneratedProblem,
  PushedChange,
  SyncedDocument,
} from "./generated/types.gen.js";
import { access, EPOCH, ROWS_TO_A_PAGE, run } from "../scenario.js";
import type { Access, Client, Document, Page, Problem, Result } from "../scenario.js";

class HeyApiClient implements Client {
  private readonly common: { client: ApiClient; path: { tenant_id: string } };

  constructor(access: Access) {
    const client = createClient({ baseUrl: access.url, auth: access.token });
    this.common = { client, path: { tenant_id: access.tenant } };
  }

  async upload(file: File): Promise<Document> {
    const body = { file };
    const { data } = await createDocument({ ...this.common, body, throwOnError: true });
    return documentOf(data.data.document);
  }

  async pull(token: string | undefined): Promise<Page> {
    const start = token ? { cursor: token } : { since: EPOCH };
    const query = { per_page: ROWS_TO_A_PAGE, ...start };
    const { data } = await pullChanges({ ...this.common, query, throwOnError: true });
    const page = data.data;
    return {
      documents: [...page.added, ...page.modified].map(documentOf),
      deleted: page.deleted.map((tombstone) => tombstone.id),
      token: page.sync_token,
      hasMore: page.has_more,
    };
  }

  rename(document: Document, filename: string): Promise<Result> {
    return this.push({ op: "update", ...baseOf(document), filename });
  }

  remove(document: Document): Promise<Result> {
    return this.push({ op: "delete", ...baseOf(document) });
  }

  async archive(ids: string[]): Promise<Blob> {
    const body = { document_ids: ids, format: "zip" as const };
    const { data } = await downloadArchive({ ...this.common, body, throwOnError: true });
    return data;
  }

  async problemOfDocument(id: string): Promise<Problem> {
    const path = { ...this.common.path, document_id: id };
    const { error } = await getDocument({ ...this.common, path });
    return problemOf(error);
  }

  async problemOfPullWithoutStart(): Promise<Problem> {
    const { error } = await pullChanges(this.common);
    return problemOf(error);
  }

  private async push(change: PushedChange): Promise<Result> {
    const body = { changes: [change] };
    const { data } = await pushChanges({ ...this.common, body, throwOnError: true });
    const [result] = data.data.results;
    if (!result) throw new Error("no result");
    const { status, conflict } = result;
    if (!conflict) return { status };
    const server = conflict.server && documentOf(conflict.server);
    return { status, resolution: conflict.resolution, fields: conflict.fields, server };
  }
}

function baseOf(document: Document) {
  return { change_id: randomUUID(), id: document.id, base_updated_at: document.updatedAt };
}

function documentOf(document: GeneratedDocument | SyncedDocument): Document {
  return {
    id: document.id,
    filename: document.filename,
    updatedAt: document.updated_at,
    sha256: document.file.sha256_hash,
    url: "download_url" in document ? document.download_url : undefined,
  };
}

function problemOf(problem: GeneratedProblem | undefined): Problem {
  if (!problem) throw new Error("no problem was answered");
  const { status, code, detail, errors } = problem;
  return { status, code, detail, fields: errors.map((wrong) => wrong.field) };
}

await run(new HeyApiClient(access()));
