package api

import (
	"bytes"
	"io"
	"testing"

	"github.com/gin-gonic/gin"
)

// TestGinIsQuiet makes a server in a program that uses gin in debug mode.
func TestGinIsQuiet(t *testing.T) {
	mode := gin.Mode()
	var out bytes.Buffer
	defer func(w io.Writer) { gin.DefaultWriter = w; gin.SetMode(mode) }(gin.DefaultWriter)
	gin.DefaultWriter = &out
	gin.SetMode(gin.DebugMode)
	newEngine((&Server{}).routes)
	if out.Len() > 0 {
		t.Errorf("gin printed %s", out.String())
	}
	if got := gin.Mode(); got != gin.DebugMode {
		t.Errorf("got the mode %q afterwards, want the program's", got)
	}
}
