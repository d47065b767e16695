/** What a debugger's client makes of garbage while the machine runs, for which there is no time limit. */
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { GdbClient } from "../src/gdb/client.ts";

let server: Server;
let own: Socket;
let client: GdbClient;
let received: string;

beforeEach(async () => {
  received = "";
  server = createServer((socket) => {
    own = socket;
    socket.on("error", () => socket.destroy());
    socket.on("data", (bytes) => {
      received += String(bytes);
      // One empty answer to each question of the opening.
      if (/^\+?\$[?q]/.test(String(bytes))) socket.write("$#00");
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const socket = connect((server.address() as AddressInfo).port, "127.0.0.1");
  client = await GdbClient.open(socket);
});

afterEach(() => {
  client.close();
  own.destroy();
  server.close();
});

describe("a machine that runs", () => {
  it.each(["$S05#zz", "$S05#b!", "$S05$S05#b8", "#b8", "$$"])(
    "is given up for what can become no packet: %s",
    async (text) => {
      const run = client.run();
      own.write(text);
      await expect(run).rejects.toMatchObject({ code: "TRANSPORT" });
    },
  );

  it("is interrupted, and one that runs a single instruction is not", async () => {
    const step = client.step();
    client.interrupt();
    own.write("$S05#b8");
    await step;
    const run = client.run();
    client.interrupt();
    while (!received.includes("\x03")) await once(own, "data");
    own.write("$S02#b5");
    await run;
    expect(received.split("\x03").map((part) => part.slice(-5))).toEqual(["$c#63", ""]);
  });

  it("has stopped once the last character is there", async () => {
    const run = client.run();
    for (const character of "+$S05#b8") own.write(character);
    await run;
  });
});
