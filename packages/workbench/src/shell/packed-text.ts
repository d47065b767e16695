/** A text in an address: deflated, in characters that an address has. What comes back is bounded. */

/** The most characters that are unpacked. */
export const PACKED_LIMIT = 1 << 20;

/** Packs a text. */
export async function packText(text: string): Promise<string> {
  const stream = new Blob([text]).stream().pipeThrough(new CompressionStream("deflate-raw"));
  const bytes = new Uint8Array(await new Response(stream).arrayBuffer());
  let binary = "";
  for (const byte of bytes) binary += String.fromCharCode(byte);
  return btoa(binary).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

/** Unpacks it; `undefined` for what nobody packed, or is larger than {@link PACKED_LIMIT}. */
export async function unpackText(packed: string): Promise<string | undefined> {
  try {
    const binary = atob(packed.replaceAll("-", "+").replaceAll("_", "/"));
    const bytes = Uint8Array.from(binary, (character) => character.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
    const reader = stream.getReader();
    const parts: Uint8Array<ArrayBuffer>[] = [];
    let length = 0;
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      length += value.length;
      if (length > PACKED_LIMIT) {
        await reader.cancel();
        return undefined;
      }
      parts.push(value as Uint8Array<ArrayBuffer>);
    }
    return await new Blob(parts).text();
  } catch {
    return undefined;
  }
}
