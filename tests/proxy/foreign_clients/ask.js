// What both scripts do: as many token requests as COUNT says, one after the other; a line of JSON for each.

export async function ask(getToken, describe) {
  for (let number = 0; number < Number(process.env.COUNT ?? "1"); number++) {
    let answer;
    try {
      const { access_token, token_type, expires_in, scope } = await getToken();
      answer = { access_token, token_type, expires_in, scope };
    } catch (error) {
      answer = { ...describe(error), message: String(error) };
    }
    console.log(JSON.stringify(answer));
  }
}
