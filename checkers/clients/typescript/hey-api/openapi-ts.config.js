// `tsConfigPath`: the imports are written as that configuration resolves them, with `.js`.

import { fileURLToPath } from "node:url";

export default {
  input: "openapi.json",
  output: {
    path: "generated",
    tsConfigPath: fileURLToPath(new URL("../tsconfig.json", import.meta.url)),
  },
  plugins: ["@hey-api/client-fetch", "@hey-api/typescript", "@hey-api/sdk"],
};
