import path from "node:path";
import js from "@eslint/js";
import { createTypeScriptImportResolver } from "eslint-import-resolver-typescript";
import importX from "eslint-plugin-import-x";
import jsxA11y from "eslint-plugin-jsx-a11y";
import reactHooks from "eslint-plugin-react-hooks";
import { defineConfig, globalIgnores } from "eslint/config";
import globals from "globals";
import ts from "typescript";
import tseslint from "typescript-eslint";

const src = path.join(import.meta.dirname, "src");

// Every layer may import only itself, the layers listed before it, and nothing else of src.
const base = [
  "api",
  "time",
  "processes",
  "hooks",
  "format.ts",
  "export.ts",
  "parseLists.ts",
  "searchParams.ts",
  "textMatch.ts",
];
const layers = {
  "format.ts": ["format.ts", "time"],
  "export.ts": ["export.ts"],
  "parseLists.ts": ["parseLists.ts"],
  "searchParams.ts": ["searchParams.ts"],
  "textMatch.ts": ["textMatch.ts"],
  time: ["time"],
  api: ["api", "time"],
  processes: ["processes", "api", "format.ts", "textMatch.ts"],
  hooks: ["hooks"],
  live: ["live", "api", "processes"],
  components: ["components", ...base],
  charts: ["charts", "components", ...base],
};
const features = ["account", "admin", "diff", "find", "fleet", "machine", "process"];
const featureLayers = ["components", "charts", "live", ...base];

const zones = [
  ...Object.entries(layers).map(([layer, allowed]) => ({
    target: path.join(src, layer),
    from: src,
    except: allowed.map((name) => `./${name}`),
    message: `${layer} may import only: ${allowed.join(", ")}.`,
  })),
  ...features.map((feature) => ({
    target: path.join(src, "features", feature),
    from: src,
    except: [`./features/${feature}`, ...featureLayers.map((name) => `./${name}`)],
    message: "A feature may not import another feature, the router or the layout.",
  })),
];

/** Reports what `tsc --noEmit` reports, from the types that the other rules have already inferred. */
const typeErrors = {
  create(context) {
    const { program, esTreeNodeToTSNodeMap } = context.sourceCode.parserServices;
    return {
      Program(node) {
        const file = esTreeNodeToTSNodeMap.get(node);
        const errors = [
          ...program.getConfigFileParsingDiagnostics(),
          ...program.getOptionsDiagnostics(),
          ...program.getGlobalDiagnostics(),
          ...program.getSyntacticDiagnostics(file),
          ...program.getSemanticDiagnostics(file),
        ];
        for (const { start = 0, code, messageText } of errors) {
          const loc = context.sourceCode.getLocFromIndex(start);
          context.report({ loc, message: `TS${code}: ${ts.flattenDiagnosticMessageText(messageText, "\n")}` });
        }
      },
    };
  },
};

export default defineConfig(
  globalIgnores(["dist", "src/api/schema.d.ts"]),
  { linterOptions: { reportUnusedDisableDirectives: "error" } },
  js.configs.recommended,
  {
    files: ["**/*.{ts,tsx}"],
    extends: [
      tseslint.configs.strictTypeChecked,
      tseslint.configs.stylisticTypeChecked,
      reactHooks.configs.flat["recommended-latest"],
      jsxA11y.flatConfigs.strict,
    ],
    plugins: { "import-x": importX, local: { rules: { "type-errors": typeErrors } } },
    settings: { "import-x/resolver-next": [createTypeScriptImportResolver()] },
    languageOptions: { parserOptions: { project: "./tsconfig.json", tsconfigRootDir: import.meta.dirname } },
    rules: {
      "local/type-errors": "error",
      // onClick={() => close()} is the usual way to write a handler.
      "@typescript-eslint/no-confusing-void-expression": ["error", { ignoreArrowShorthand: true }],
      "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true }],
      "@typescript-eslint/method-signature-style": ["error", "property"],
      "import-x/no-cycle": "error",
      "import-x/no-restricted-paths": ["error", { zones }],
    },
  },
  {
    // Everything here runs without a browser and without React.
    files: ["src/processes/**", "src/time/**"],
    rules: { "no-restricted-imports": ["error", { patterns: ["react*", "@tanstack/*", "@radix-ui/*"] }] },
  },
  { files: ["**/*.{js,mjs}"], languageOptions: { globals: { ...globals.node, ...globals.browser } } },
);
