// The types that openapi-typescript makes, with openapi-fetch.

import { randomUUID } from "node:crypto";
import createClient, { type Client as ApiClient } from "openapi-fetch";
import type { components, paths } from "./generated/schema.js";
import { access, EPOCH, ROWS_TO_A_PAGE, run } from "../scenario.js";
import type { Access, Client, Document, Page, Problem, Result } from "../scenario.js";

type Schemas = components["schemas"];

class OpenapiFetchClient implements Client {
  private readonly path: { tenant_id: string };
  private readonly api: ApiClient<paths>;

  constructor(access: Access) {
    const headers = { Authorization: `Bearer ${access.token}` };
    this.path = { tenant_id: access.tenant };
    this.api = createClient<paths>({ baseUrl: access.url, headers });
  }

  async upload(file: File): Promise<Document> {
    const { data, error } = await this.api.POST("/api/tenants/{tenant_id}/documents", {
      params: { path: this.path },
      body: { file },
      bodySerializer: formOf,
    });
    return documentOf(successOf(data, error).data.document);
  }

  async pull(token: string | undefined): Promise<Page> {
    const start = token ? { cursor: token } : { since: EPOCH };
    const { data, error } = await this.api.GET("/api/tenants/{tenant_id}/documents/sync", {
      params: { path: this.path, query: { per_page: ROWS_TO_A_PAGE, ...start } },
    });
    const page = successOf(data, error).data;
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
    const path = "/api/tenants/{tenant_id}/documents/batch-download";
    const { error, response } = await this.api.POST(path, {
      params: { path: this.path },
      body: { document_ids: ids, format: "zip" },
      parseAs: "stream",
    });
    if (error) throw new Error(JSON.stringify(error));
    return response.blob();
  }

  async problemOfDocument(id: string): Promise<Problem> {
    const { error } = await this.api.GET("/api/tenants/{tenant_id}/documents/{document_id}", {
      params: { path: { ...this.path, document_id: id } },
    });
    return problemOf(error);
  }

  async problemOfPullWithoutStart(): Promise<Problem> {
    const { error } = await this.api.GET("/api/tenants/{tenant_id}/documents/sync", {
      params: { path: this.path },
    });
    return problemOf(error);
  }

  private async push(change: Schemas["PushedChange"]): Promise<Result> {
    const { data, error } = await this.api.POST("/api/tenants/{tenant_id}/documents/sync", {
      params: { path: this.path },
      body: { changes: [change] },
    });
    const [result] = successOf(data, error).data.results;
    if (!result) throw new Error("no result");
    const { status, conflict } = result;
    if (!conflict) return { status };
    const server = conflict.server && documentOf(conflict.server);
    return { status, resolution: conflict.resolution, fields: conflict.fields, server };
  }
}

function formOf(body: { file: Blob }): FormData {
  const form = new FormData();
  form.append("file", body.file);
  return form;
}

function baseOf(document: Document) {
  return { change_id: randomUUID(), id: document.id, base_updated_at: document.updatedAt };
}

function documentOf(document: Schemas["Document"] | Schemas["SyncedDocument"]): Document {
  return {
    id: document.id,
    filename: document.filename,
    updatedAt: document.updated_at,
    sha256: document.file.sha256_hash,
    url: "download_url" in document ? document.download_url : undefined,
  };
}

function successOf<T>(data: T | undefined, error: Schemas["Problem"] | undefined): T {
  if (data === undefined) throw new Error(JSON.stringify(error));
  return data;
}

function problemOf(problem: Schemas["Problem"] | undefined): Problem {
  if (!problem) throw new Error("no problem was answered");
  const { status, code, detail, errors } = problem;
  return { status, code, detail, fields: errors.map((wrong) => wrong.field) };
}

await run(new OpenapiFetchClient(access()));
