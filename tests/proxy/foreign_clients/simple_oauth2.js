// simple-oauth2, as its README shows it: one token per line of stdin. Everything comes from the environment.

import { ClientCredentials } from "simple-oauth2";
import { ask } from "./ask.js";

const url = new URL(process.env.TOKEN_ENDPOINT);
const client = new ClientCredentials({
  client: { id: process.env.CLIENT_ID, secret: process.env.CLIENT_SECRET },
  auth: { tokenHost: url.origin, tokenPath: url.pathname },
  options: {
    authorizationMethod: process.env.METHOD === "client_secret_post" ? "body" : "header",
    bodyFormat: process.env.BODY ?? "form",
  },
});

await ask(
  async () => (await client.getToken({ scope: process.env.SCOPE })).token,
  (error) => ({ status: error.output?.statusCode, error: error.data?.payload?.error }),
);
