// The HTTP API, as pages use it. Every refusal becomes a Problem (RFC 9457).

export interface FieldError {
  location: string;
  message: string;
}

export class Problem extends Error {
  constructor(
    /** HTTP status; 0 when the server could not be reached. */
    readonly status: number,
    readonly title: string,
    readonly detail: string,
    readonly errors: FieldError[] = [],
    /** Seconds the server asks us to wait (Retry-After), if it says so. */
    readonly retryAfter?: number,
  ) {
    super(detail || title);
  }

  /** What the server says of one field: `name`, `position.lon`, `metrics[0].metric`. */
  field(name: string): string | undefined {
    return this.errors.find((e) => {
      const at = e.location.replace(/^body\.?/, '').replace(/^\$\.?/, '');
      return at === name || at.startsWith(name + '.') || at.startsWith(name + '[');
    })?.message;
  }
}

let onUnauthorised: () => void = () => {};
/** Called whenever the server says 401 to anything but a log-in. */
export function whenUnauthorised(f: () => void): void {
  onUnauthorised = f;
}

async function problemOf(res: Response): Promise<Problem> {
  const retry = Number(res.headers.get('Retry-After'));
  let body: { title?: string; detail?: string; errors?: FieldError[] } = {};
  try {
    body = (await res.json()) as typeof body;
  } catch {
    // Not JSON: the status alone must do.
  }
  return new Problem(
    res.status,
    body.title ?? res.statusText,
    body.detail ?? '',
    body.errors ?? [],
    Number.isFinite(retry) && retry > 0 ? retry : undefined,
  );
}

/** One request; resolves with the decoded JSON body, undefined for 204. */
export function call<T>(method: string, path: string, body?: unknown, signal?: AbortSignal): Promise<T> {
  return send(method, path, body === undefined || typeof body === 'string' ? body : JSON.stringify(body), 'application/json', signal);
}

/** The same with a body that is a file, or a text of another type. */
export async function send<T>(method: string, path: string, body: BodyInit | undefined, type: string, signal?: AbortSignal): Promise<T> {
  const res = await ask(method, path, { Accept: 'application/json', ...(body === undefined ? {} : { 'Content-Type': type }) }, body, signal);
  return res.status === 204 ? (undefined as T) : ((await res.json()) as T);
}

/** A list as a CSV file. */
export async function csv(path: string): Promise<Blob> {
  const res = await ask('GET', path, { Accept: 'text/csv' });
  try {
    return await res.blob();
  } catch {
    throw new Problem(0, 'cut off', ''); // what came is not the whole
  }
}

async function ask(method: string, path: string, headers: HeadersInit, body?: BodyInit, signal?: AbortSignal): Promise<Response> {
  let res: Response;
  try {
    res = await fetch(path, {
      method,
      credentials: 'same-origin',
      headers,
      body,
      signal,
    });
  } catch (cause) {
    if (signal?.aborted) throw cause;
    throw new Problem(0, 'unreachable', '');
  }
  if (!res.ok) {
    const problem = await problemOf(res);
    if (res.status === 401 && !path.endsWith('/session')) onUnauthorised();
    throw problem;
  }
  return res;
}

export const get = <T>(path: string, signal?: AbortSignal): Promise<T> => call<T>('GET', path, undefined, signal);
export const post = <T>(path: string, body?: unknown): Promise<T> => call<T>('POST', path, body ?? {});
export const put = <T>(path: string, body: unknown): Promise<T> => call<T>('PUT', path, body);
export const del = (path: string): Promise<void> => call<void>('DELETE', path);

/** A list that comes whole. */
export async function items<T>(path: string, signal?: AbortSignal): Promise<T[]> {
  return (await get<{ items: T[] | null }>(path, signal)).items ?? [];
}

/** All pages of a list. */
export async function list<T>(path: string, signal?: AbortSignal): Promise<T[]> {
  const all: T[] = [];
  let cursor = '';
  do {
    const query = (path.includes('?') ? '&' : '?') + 'limit=1000' + (cursor ? `&cursor=${encodeURIComponent(cursor)}` : '');
    const page = await get<{ items: T[] | null; next?: string }>(path + query, signal);
    all.push(...(page.items ?? []));
    cursor = page.next ?? '';
  } while (cursor);
  return all;
}
