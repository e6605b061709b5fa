// openid-client, a certified implementation that checks the answer to the letter of RFC 6749 §5.

import * as client from "openid-client";
import { ask } from "./ask.js";

const method = process.env.METHOD === "client_secret_post" ? client.ClientSecretPost : client.ClientSecretBasic;
const server = { issuer: new URL(process.env.TOKEN_ENDPOINT).origin, token_endpoint: process.env.TOKEN_ENDPOINT };
const config = new client.Configuration(server, process.env.CLIENT_ID, {}, method(process.env.CLIENT_SECRET));
client.allowInsecureRequests(config); // plain http, on loopback only

await ask(
  () => client.clientCredentialsGrant(config, { scope: process.env.SCOPE }),
  (error) => ({ status: error.status, error: error.error }),
);
