// SPDX-License-Identifier: MIT
// node's own servers with their defaults: node node_origin.js PORT DIRECTORY http|http2 [KEY CERT]
"use strict";
const fs = require("fs");
const http = require("http");
const http2 = require("http2");
const https = require("https");
const path = require("path");
const zlib = require("zlib");

const [port, directory, protocol, key, cert] = process.argv.slice(2);

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

// What came comes back, and its trailers too.
function echo(request, response) {
  request.on("end", () => {
    if (Object.keys(request.trailers).length) response.addTrailers(request.trailers);
    response.end();
  });
  request.pipe(response, { end: false });
}

function serve(request, response) {
  if (request.url === "/echo") return echo(request, response);
  return file(request, response);
}

function create() {
  if (!key) return (protocol === "http2" ? http2 : http).createServer(serve);
  const files = { key: fs.readFileSync(key), cert: fs.readFileSync(cert) };
  if (protocol !== "http2") return https.createServer(files, serve);
  return http2.createSecureServer({ ...files, allowHTTP1: true }, serve);
}

create().listen(Number(port), "127.0.0.1");
