// Writes the types of the description (first argument) to a file (second argument).
// The command line would type a binary field as a string; here it is a Blob.

import { writeFile } from "node:fs/promises";
import { pathToFileURL } from "node:url";
import openapiTS, { astToString } from "openapi-typescript";
import ts from "typescript";

const BLOB = ts.factory.createTypeReferenceNode("Blob");
const [description, target] = process.argv.slice(2);

const tree = await openapiTS(pathToFileURL(description), {
  // A field with a default may be left out of a request.
  defaultNonNullable: false,
  transform: (schema) => (schema.format === "binary" ? BLOB : undefined),
});
await writeFile(target, astToString(tree));
