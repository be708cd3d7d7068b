package main

import (
	"bytes"
	"encoding/json"
)

// jsonLine is a value as a line of its own.
func jsonLine(buffer *bytes.Buffer, value any) {
	encoder := json.NewEncoder(buffer)
	encoder.SetEscapeHTML(false)
	encoder.Encode(value)
}
