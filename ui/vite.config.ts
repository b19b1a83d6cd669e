import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

export default defineConfig({
  plugins: [react()],
  base: "./", // the page's <base> element gives the path below which the server is
  build: { outDir: "dist", emptyOutDir: true, sourcemap: false },
  server: {
    // For work on the UI: npx vite, beside a running server.
    proxy: { "/api": { target: "http://127.0.0.1:8420", ws: true } },
  },
  test: { include: ["src/**/*.test.ts"], setupFiles: ["src/testPage.ts"] },
});
