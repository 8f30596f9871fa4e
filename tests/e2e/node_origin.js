// SPDX-License-Identifier: MIT
// node's own HTTP server with its defaults: node node_origin.js PORT DIRECTORY
"use strict";
const fs = require("fs");
const http = require("http");
const path = require("path");
const zlib = require("zlib");

const [port, directory] = process.argv.slice(2);

function file(request, response) {
  const name = path.join(directory, path.basename(request.url));
  if (!fs.existsSync(name)) {
    response.writeHead(404);
    return response.end("no such file\n");
  }
  const modified = fs.statSync(name).mtime.toUTCString();
  response.setHeader("Last-Modified", modified);
  response.setHeader("Content-Type", "text/plain");
  if (request.headers["if-modified-since"] === modified) {
    response.writeHead(304);
    return response.end();
  }
  if (/gzip/.test(request.headers["accept-encoding"] || "")) {
    response.setHeader("Content-Encoding", "gzip");
    return fs.createReadStream(name).pipe(zlib.createGzip()).pipe(response);
  }
  response.setHeader("Content-Length", fs.statSync(name).size);
  return fs.createReadStream(name).pipe(response);
}

const server = http.createServer((request, response) => {
  if (request.url === "/echo") return request.pipe(response);
  return file(request, response);
});
server.listen(Number(port), "127.0.0.1");
