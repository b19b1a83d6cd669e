// saveState saves the state of a PGlite between two statements, and returns a function that restores it: the memory
// of the WebAssembly, the files that Emscripten has in memory, and which of them are open. Restoring takes a tenth of
// the time that a start takes.
//
// A library cannot be unloaded, so no further library can be loaded. LOAD what is needed before.
export function saveState(pglite) {
  const { FS } = pglite;
  WebAssembly.Instance = class {
    constructor() {
      throw new Error("load the library before the state of the database is saved, in bridge.mjs");
    }
  };

  const memory = new Map(); // the pages that are not empty, which are a tenth
  for (const [at, page] of pages(pglite)) {
    if (!page.equals(emptyPage)) memory.set(at, Buffer.from(page));
  }
  const nodes = [];
  const saveNode = (node) => {
    nodes.push({ node, fields: { ...node, contents: copy(node.contents) } });
    if (FS.isDir(node.mode)) Object.values(node.contents).forEach(saveNode);
  };
  saveNode(FS.root);
  const names = [...FS.nameTable];
  const streams = FS.streams.map((stream) => stream && { stream, fields: { ...stream }, shared: { ...stream.shared } });

  return () => {
    for (const [at, page] of pages(pglite)) {
      if (memory.has(at)) page.set(memory.get(at));
      else if (!page.equals(emptyPage)) page.fill(0);
    }
    for (const { node, fields } of nodes) Object.assign(node, fields, { contents: copy(fields.contents) });
    FS.nameTable = [...names];
    FS.streams = streams.map((saved) => {
      if (!saved) return saved;
      Object.assign(saved.stream.shared, saved.shared);
      return Object.assign(saved.stream, saved.fields);
    });
  };
}

const emptyPage = Buffer.alloc(65_536); // the unit in which the memory of WebAssembly grows

function* pages(pglite) {
  const { buffer } = pglite.HEAPU8;
  for (let at = 0; at < buffer.byteLength; at += emptyPage.length)
    yield [at, Buffer.from(buffer, at, emptyPage.length)];
}

// copy copies the contents of a node: the bytes of a file, or the nodes of a directory by name.
function copy(contents) {
  return contents instanceof Uint8Array ? contents.slice() : contents && { ...contents };
}
