// A camera's address as people have it: one line with the account inside, or
// address, user and password apart. Passwords have @ and / in them; the line that
// goes to the server writes them with % escapes.

export interface Address {
  url: string;
  user: string;
  password: string;
}

const plain = (s: string): string => {
  try {
    return decodeURIComponent(s);
  } catch {
    return s; // a lone % is a % then
  }
};

/** Takes an account out of a line, where there is one. */
export function takeApart(line: string): Address {
  const text = line.trim();
  const m = /^(rtsps?:\/\/)([^/?#]*)@(.*)$/i.exec(text);
  if (!m) return { url: text, user: '', password: '' };
  const [, scheme = '', account = '', rest = ''] = m;
  const colon = account.indexOf(':');
  const [user, password] = colon < 0 ? [account, ''] : [account.slice(0, colon), account.slice(colon + 1)];
  return { url: scheme + rest, user: plain(user), password: plain(password) };
}

/** RFC 3986 §3.2.1: all that could end the account is escaped. */
const escaped = (s: string): string => encodeURIComponent(s).replace(/[!'()*]/g, (c) => '%' + c.charCodeAt(0).toString(16).toUpperCase());

/** One line again. No account: as it is, which keeps a stored one; `without` says that there shall be none. */
export function putTogether({ url, user, password }: Address, without = false): string {
  const line = takeApart(url);
  const who = user.trim() ? { user: user.trim(), password } : line.user ? line : undefined;
  const account = without ? '@' : who ? escaped(who.user) + (who.password ? ':' + escaped(who.password) : '') + '@' : '';
  return account ? line.url.replace(/^(rtsps?:\/\/)/i, (scheme) => scheme + account) : line.url;
}
