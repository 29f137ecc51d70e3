/**
 * Finds the end of the RESP value that begins at `at`. Returns -1 where the value is incomplete.
 *
 * @param {Buffer} buffer @param {number} at @returns {number}
 */
function endOf(buffer, at) {
  const line = buffer.indexOf('\r\n', at);
  if (line < 0) return -1;
  const next = line + 2;
  const type = String.fromCharCode(buffer[at] ?? 0);
  if (type !== '*' && type !== '$') return next;
  const count = Number(buffer.toString('latin1', at + 1, line));
  if (count < 0) return next;
  if (type === '$') return buffer.length >= next + count + 2 ? next + count + 2 : -1;
  let end = next;
  for (let i = 0; i < count && end >= 0; i++) end = endOf(buffer, end);
  return end;
}

/** Counts the complete values of a RESP stream, of requests or of replies. */
export class RespCounter {
  count = 0;
  /** The first error reply. @type {string | undefined} */
  error;
  /** @type {Buffer} */
  #rest = Buffer.alloc(0);

  /** @param {Buffer} chunk */
  push(chunk) {
    const buffer = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    let at = 0;
    for (let end = endOf(buffer, at); at < buffer.length && end >= 0; end = endOf(buffer, at)) {
      if (buffer[at] === 0x2d) this.error ??= buffer.toString('utf8', at, end).trim();
      this.count += 1;
      at = end;
    }
    this.#rest = buffer.subarray(at);
  }
}
