/* How embed_build.py bundles the page at /embed: with the Vite and the packages of the page's own build. */
import { fileURLToPath } from "node:url";

export default {
  root: fileURLToPath(new URL("..", import.meta.url)),
  publicDir: false,
  logLevel: "error",
  resolve: { alias: { $: fileURLToPath(new URL("..", import.meta.url)).replace(/\/$/, "") } },
  css: { postcss: {} },
  build: {
    outDir: "build/client",
    emptyOutDir: false,
    chunkSizeWarningLimit: 2000,
    rollupOptions: {
      input: { embed: fileURLToPath(new URL("./embed_page.jsx", import.meta.url)) },
      output: { entryFileNames: "assets/[name]-[hash].js", chunkFileNames: "assets/part-[hash].js" },
    },
  },
};
