// Package web is the browser side, built by Vite into dist and embedded.
package web

import "embed"

// Dist holds the built pages under dist/; only .gitkeep before the first build.
//
//go:embed all:dist
var Dist embed.FS
