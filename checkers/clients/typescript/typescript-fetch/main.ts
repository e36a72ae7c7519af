// The client that openapi-generator makes for TypeScript with fetch.

import { randomUUID } from "node:crypto";
import {
  Configuration,
  DocumentsApi,
  ProblemFromJSON,
  ResponseError,
  SyncApi,
  type Document as GeneratedDocument,
  type PushedChange,
  type SyncedDocument,
} from "./generated/index.js";
import { access, EPOCH, ROWS_TO_A_PAGE, run } from "../scenario.js";
import type { Access, Client, Document, Page, Problem, Result } from "../scenario.js";

class TypescriptFetchClient implements Client {
  private readonly tenantId: string;
  private readonly documents: DocumentsApi;
  private readonly sync: SyncApi;

  constructor(access: Access) {
    const configuration = new Configuration({ basePath: access.url, accessToken: access.token });
    this.tenantId = access.tenant;
    this.documents = new DocumentsApi(configuration);
    this.sync = new SyncApi(configuration);
  }

  async upload(file: File): Promise<Document> {
    const answer = await this.documents.createDocument({ tenantId: this.tenantId, file });
    return documentOf(answer.data.document);
  }

  async pull(token: string | undefined): Promise<Page> {
    const start = token ? { cursor: token } : { since: EPOCH };
    const { data } = await this.sync.pullChanges({
      tenantId: this.tenantId,
      perPage: ROWS_TO_A_PAGE,
      ...start,
    });
    return {
      documents: [...data.added, ...data.modified].map(documentOf),
      deleted: data.deleted.map((tombstone) => tombstone.id),
      token: data.syncToken,
      hasMore: data.hasMore,
    };
  }

  rename(document: Document, filename: string): Promise<Result> {
    return this.push({ op: "update", ...baseOf(document), filename });
  }

  remove(document: Document): Promise<Result> {
    return this.push({ op: "delete", ...baseOf(document) });
  }

  archive(ids: string[]): Promise<Blob> {
    const archiveRequest = { documentIds: new Set(ids), format: "zip" as const };
    return this.documents.downloadArchive({ tenantId: this.tenantId, archiveRequest });
  }

  problemOfDocument(documentId: string): Promise<Problem> {
    return problemOf(this.documents.getDocument({ tenantId: this.tenantId, documentId }));
  }

  problemOfPullWithoutStart(): Promise<Problem> {
    return problemOf(this.sync.pullChanges({ tenantId: this.tenantId }));
  }

  private async push(change: PushedChange): Promise<Result> {
    const pushRequest = { changes: [change] };
    const answer = await this.sync.pushChanges({ tenantId: this.tenantId, pushRequest });
    const [result] = answer.data.results;
    if (!result) throw new Error("no result");
    const { status, conflict } = result;
    if (!conflict) return { status };
    const server = conflict.server && documentOf(conflict.server);
    return { status, resolution: conflict.resolution, fields: conflict.fields, server };
  }
}

function baseOf(document: Document) {
  return { changeId: randomUUID(), id: document.id, baseUpdatedAt: document.updatedAt };
}

function documentOf(document: GeneratedDocument | SyncedDocument): Document {
  return {
    id: document.id,
    filename: document.filename,
    updatedAt: document.updatedAt,
    sha256: document.file.sha256Hash,
    url: "downloadUrl" in document ? document.downloadUrl : undefined,
  };
}

async function problemOf(call: Promise<unknown>): Promise<Problem> {
  const error = await call.then(
    () => new Error("no problem was thrown"),
    (reason: unknown) => reason,
  );
  if (!(error instanceof ResponseError)) throw error;
  const { status, code, detail, errors } = ProblemFromJSON(await error.response.json());
  return { status, code, detail, fields: errors.map((wrong) => wrong.field) };
}

await run(new TypescriptFetchClient(access()));
