/* How embed_build.py bundles the page at /embed, and the worker: with the Vite and the packages of the page's own build. */
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
    // To preload what a language imports takes a document, which the worker does not have.
    modulePreload: false,
    chunkSizeWarningLimit: 2000,
    rollupOptions: {
      // Both in one build, so that the languages are there once: /embed loads them itself where no worker starts.
      input: {
        embed: fileURLToPath(new URL("./embed_page.jsx", import.meta.url)),
        colour_worker: fileURLToPath(new URL("./colour_worker.js", import.meta.url)),
      },
      output: { entryFileNames: "assets/[name]-[hash].js", chunkFileNames: "assets/part-[hash].js" },
    },
  },
};
