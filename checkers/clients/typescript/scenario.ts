// What every generated TypeScript client must be able to do against a running service.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { unzipSync } from "fflate";

export const EPOCH = "1970-01-01T00:00:00Z";
export const ROWS_TO_A_PAGE = 2;

/** `download_url` is there for documents that were pulled. */
export interface Document {
  id: string;
  filename: string;
  updatedAt: string;
  sha256: string;
  url?: string | null;
}

export interface Page {
  documents: Document[];
  deleted: string[];
  token: string;
  hasMore: boolean;
}

/** `resolution`, `fields` and `server` are those of a conflict. */
export interface Result {
  status: string;
  resolution?: string;
  fields?: string[];
  server?: Document | null;
}

/** A problem document as the generated client typed it. */
export interface Problem {
  status: number;
  code: string;
  detail: string;
  fields: string[];
}

/** A generated client behind what the scenario asks of it. */
export interface Client {
  upload(file: File): Promise<Document>;
  pull(token: string | undefined): Promise<Page>;
  rename(document: Document, filename: string): Promise<Result>;
  remove(document: Document): Promise<Result>;
  archive(ids: string[]): Promise<Blob>;
  problemOfDocument(id: string): Promise<Problem>;
  problemOfPullWithoutStart(): Promise<Problem>;
}

export interface Access {
  url: string;
  tenant: string;
  token: string;
}

/** What the environment says. */
export function access(): Access {
  return {
    url: variable("SYNCAPI_URL"),
    tenant: variable("SYNCAPI_TENANT"),
    token: variable("SYNCAPI_TOKEN"),
  };
}

/** Run the scenario in an empty tenant; throws where client or service did something else. */
export async function run(client: Client): Promise<void> {
  const uploaded = [];
  for (const [name, content] of CONTENTS) {
    const document = await client.upload(new File([content], name));
    assert.equal(document.filename, name);
    assert.equal(document.sha256, sha256(content), `${name} was harmed on its way up`);
    uploaded.push(document);
  }
  console.log(`  uploaded ${uploaded.length} binary files, hashes agree`);

  const [plan, report, notes] = uploaded;
  assert(plan && report && notes);
  const token = await checkFirstPull(client);
  await checkConflict(client, plan);
  await checkDeletion(client, notes, token);
  await checkProblems(client, notes.id);
  await checkArchive(client, [plan, report]);
}

async function checkFirstPull(client: Client): Promise<string> {
  const pages = await pagesFrom(client, undefined);
  const pulled = pages.flatMap((page) => page.documents);
  assert(pages.length > 1);
  assert.deepEqual(pulled.map((document) => document.filename).sort(), [...CONTENTS.keys()].sort());
  for (const document of pulled) {
    assert(document.url);
    const answer = await fetch(document.url);
    assert(answer.ok);
    const content = new Uint8Array(await answer.arrayBuffer());
    assert.equal(sha256(content), sha256(contentOf(document)), `${document.filename} was harmed`);
  }
  console.log(`  pulled ${pages.length} pages, downloads are byte for byte the same`);
  return lastOf(pages).token;
}

async function checkConflict(client: Client, document: Document): Promise<void> {
  assert.equal((await client.rename(document, "first.bin")).status, "applied");
  const second = await client.rename(document, "second.bin");
  assert.deepEqual([second.status, second.resolution], ["conflict", "open"]);
  assert.deepEqual(second.fields, ["filename"]);
  assert(second.server);
  assert.equal(second.server.filename, "first.bin");
  const settled = await client.rename(second.server, "settled.bin");
  assert.equal(settled.status, "applied", "the version did not survive the client");
  console.log("  pushed a conflict, and settled it");
}

async function checkDeletion(client: Client, document: Document, token: string): Promise<void> {
  assert.equal((await client.remove(document)).status, "applied");
  const deleted = (await pagesFrom(client, token)).flatMap((page) => page.deleted);
  assert.deepEqual(deleted, [document.id]);
  console.log("  pushed a deletion, and pulled it");
}

async function checkProblems(client: Client, deleted: string): Promise<void> {
  const missing = await client.problemOfDocument(deleted);
  assert.deepEqual([missing.status, missing.code, missing.fields], [404, "not_found", []]);
  assert(missing.detail);
  const invalid = await client.problemOfPullWithoutStart();
  assert.deepEqual([invalid.status, invalid.code], [400, "invalid_request"]);
  assert(invalid.fields.includes("since"), invalid.fields.join());
  console.log("  read typed problems of 404 and 400");
}

async function checkArchive(client: Client, documents: Document[]): Promise<void> {
  const archive = await client.archive(documents.map((document) => document.id));
  const members = unzipSync(new Uint8Array(await archive.arrayBuffer()));
  const manifest = JSON.parse(new TextDecoder().decode(members["manifest.json"]));
  const names: string[] = manifest.documents.map((entry: { name: string }) => entry.name);
  const hashes = names.map((name) => sha256(members[name] ?? new Uint8Array()));
  assert.deepEqual(hashes, documents.map((document) => sha256(contentOf(document))));
  console.log("  downloaded a zip, members are byte for byte the same");
}

async function pagesFrom(client: Client, token: string | undefined): Promise<Page[]> {
  const pages = [await client.pull(token)];
  while (lastOf(pages).hasMore) pages.push(await client.pull(lastOf(pages).token));
  return pages;
}

function lastOf<T>(items: T[]): T {
  const last = items.at(-1);
  assert(last !== undefined);
  return last;
}

/** Every byte, line ends of both kinds, nothing that is UTF-8: what a text codec would harm. */
function binary(name: string): Uint8Array<ArrayBuffer> {
  const every = Array.from({ length: 256 * 1_200 }, (_, index) => index % 256);
  const rest = [13, 10, 10, 13, 0, 255, 254, 128];
  return Uint8Array.from([...every, ...rest, ...new TextEncoder().encode(name)]);
}

function contentOf(document: Document): Uint8Array {
  const content = CONTENTS.get(document.filename);
  assert(content, document.filename);
  return content;
}

function sha256(content: Uint8Array): string {
  return createHash("sha256").update(content).digest("hex");
}

function variable(name: string): string {
  const value = process.env[name];
  assert(value, `${name} is not set`);
  return value;
}

const NAMES = ["plan.bin", "relevé annuel.bin", "notes.txt"];
const CONTENTS = new Map(NAMES.map((name) => [name, binary(name)]));
