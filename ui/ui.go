// Package ui serves the web interface, a React application that is built with Vite and embedded into the binary.
package ui

import (
	"bytes"
	"embed"
	"io/fs"
	"net/http"
	"path"
	"strings"

	"github.com/snapwatch/snapwatch/internal/basepath"
)

// dist is the built application. It contains only .gitkeep until make build.
//
//go:embed all:dist
var dist embed.FS

// policy is the Content-Security-Policy of the page. It allows resources and requests of the page's own server only.
const policy = "default-src 'self'; style-src 'self'; img-src 'self' data:; frame-ancestors 'none'; " +
	"base-uri 'self'; form-action 'self'"

// baseElement is the element of the built page that gives the base of its addresses. The handler puts the base path
// into it, so that one build works below every path.
const baseElement = `<base href="/"`

// Handler serves the application. A path that names no file is a route of the application and returns its page. The
// page's addresses are below the base path in the request's context.
func Handler() http.Handler {
	files, err := fs.Sub(dist, "dist")
	if err != nil { // impossible: the folder is embedded
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
				header.Set("Cache-Control", "public, max-age=31536000, immutable") // their names contain a hash
			}
			server.ServeHTTP(w, r)
			return
		}
		page, err := fs.ReadFile(files, "index.html")
		if err != nil {
			http.Error(w, "This build does not include the web interface. Run make build.", http.StatusNotImplemented)
			return
		}
		if strings.HasPrefix(name, "assets/") { // a file of another version of the application
			http.NotFound(w, r)
			return
		}
		header.Set("Cache-Control", "no-cache")
		header.Set("Content-Type", "text/html; charset=utf-8")
		base := `<base href="` + basepath.Of(r.Context()) + `/"`
		_, _ = w.Write(bytes.Replace(page, []byte(baseElement), []byte(base), 1))
	})
}
