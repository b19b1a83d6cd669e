package ui

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/snapwatch/snapwatch/internal/basepath"
)

func TestHandler(t *testing.T) {
	built := fstest.MapFS{
		"index.html":       {Data: []byte("<p>the page")},
		"icon.svg":         {Data: []byte("<svg/>")},
		"assets/app-1f.js": {Data: []byte("code()")},
	}
	for _, test := range []struct {
		files               fstest.MapFS
		method, path        string
		status              int
		body, cache, policy string
	}{
		{built, "GET", "/", 200, "the page", "no-cache", "default-src 'self'"},
		{built, "GET", "/machines/abc", 200, "the page", "no-cache", "default-src 'self'"},
		{built, "GET", "/index.html", 200, "the page", "no-cache", "default-src 'self'"},
		{built, "GET", "/assets/app-1f.js", 200, "code()", "public, max-age=31536000, immutable", "default-src 'self'"},
		{built, "GET", "/assets/app-of-another-version.js", 404, "", "", ""},
		{built, "GET", "/icon.svg", 200, "<svg/>", "", ""},
		{built, "GET", "/../../etc/passwd", 200, "the page", "no-cache", ""},
		{built, "GET", "/%2e%2e/%2e%2e/etc/passwd", 200, "the page", "no-cache", ""},
		{built, "GET", "/%00", 200, "the page", "no-cache", ""},
		{built, "GET", "/assets/%00%ff", 404, "", "", ""},
		{built, "GET", "/%ff%c3%28?a=%00&a=%zz", 200, "the page", "no-cache", ""},
		{built, "GET", "/icon.svg%00", 200, "the page", "no-cache", ""},
		{built, "GET", "/%5c..%5c..%5cetc", 200, "the page", "no-cache", ""},
		{built, "POST", "/", 405, "", "", ""},
		{fstest.MapFS{".gitkeep": {}}, "GET", "/", 501, "make build", "", ""},
	} {
		recorder := httptest.NewRecorder()
		handler(test.files).ServeHTTP(recorder, httptest.NewRequest(test.method, test.path, nil))
		header := recorder.Header()
		if recorder.Code != test.status || !strings.Contains(recorder.Body.String(), test.body) ||
			header.Get("Cache-Control") != test.cache ||
			!strings.Contains(header.Get("Content-Security-Policy"), test.policy) {
			t.Errorf("%s %s: %d %q %v", test.method, test.path, recorder.Code, recorder.Body, header)
		}
	}
}

// TestBasePath checks that the page's base element has the base path, in the built page too if there is one.
func TestBasePath(t *testing.T) {
	built := fstest.MapFS{"index.html": {Data: []byte(`<base href="/" /><p>`)}}
	for name, served := range map[string]http.Handler{"example": handler(built), "built": Handler()} {
		for base, want := range map[string]string{"": `<base href="/"`, "/a/b": `<base href="/a/b/"`} {
			request := httptest.NewRequest(http.MethodGet, "/machines/x", nil)
			recorder := httptest.NewRecorder()
			served.ServeHTTP(recorder, request.WithContext(basepath.With(request.Context(), base)))
			built := recorder.Code != http.StatusNotImplemented
			if built && !strings.Contains(recorder.Body.String(), want) {
				t.Errorf("%s, %q: %s", name, base, recorder.Body)
			}
		}
	}
}

// TestEmbedded checks that the handler serves the application, or explains how to build it if it is not built.
func TestEmbedded(t *testing.T) {
	recorder := httptest.NewRecorder()
	Handler().ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, "/", nil))
	if recorder.Code != http.StatusOK && recorder.Code != http.StatusNotImplemented {
		t.Errorf("%d %s", recorder.Code, recorder.Body)
	}
}
