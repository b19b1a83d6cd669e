// Package ui holds the browser's side of snapwatch: a React application that is
// built with Vite and embedded here.
package ui

import (
	"embed"
	"io/fs"
	"net/http"
	"path"
	"strings"
)

// The folder holds only .gitkeep until the application is built.
//
//go:embed all:dist
var dist embed.FS

// policy is the Content-Security-Policy of the page. It allows resources and requests of the page's own server only.
const policy = "default-src 'self'; style-src 'self'; img-src 'self' data:; frame-ancestors 'none'; " +
	"base-uri 'none'; form-action 'self'"

// Handler serves the application. A path that names no file is a route of the application and returns its page.
func Handler() http.Handler {
	files, err := fs.Sub(dist, "dist")
	if err != nil { // the folder is embedded: it cannot be missing
		panic(err)
	}
	return handler(files)
}

func handler(files fs.FS) http.Handler {
	server := http.FileServerFS(files)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
			return
		}
		header := w.Header()
		header.Set("Content-Security-Policy", policy)
		header.Set("Referrer-Policy", "no-referrer")
		name := strings.TrimPrefix(path.Clean("/"+r.URL.Path), "/")
		if info, err := fs.Stat(files, name); err == nil && !info.IsDir() && name != "index.html" {
			if strings.HasPrefix(name, "assets/") {
				header.Set("Cache-Control", "public, max-age=31536000, immutable") // their names hold a hash
			}
			server.ServeHTTP(w, r)
			return
		}
		page, err := fs.ReadFile(files, "index.html")
		if err != nil {
			http.Error(
				w, "The user interface is not part of this build; build it with: make build",
				http.StatusNotImplemented,
			)
			return
		}
		if strings.HasPrefix(name, "assets/") { // a file of another version
			http.NotFound(w, r)
			return
		}
		header.Set("Cache-Control", "no-cache")
		header.Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write(page)
	})
}
