// The address of the page in tests, which run without a browser. The server has a base path.
import { vi } from "vitest";

vi.stubGlobal("window", { location: { origin: "http://snapwatch.test" } });
vi.stubGlobal("document", { baseURI: "http://snapwatch.test/tools/snapwatch/" });
