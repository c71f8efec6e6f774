package manifest

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
)

// chunk is the text of one document that is not empty.
type chunk struct {
	text []byte
	// line is where the document begins in its file, from 1; head is the line of
	// text's first byte, where a separator may stand.
	line, head int
}

// split cuts text at YAML's document markers: lines that begin with --- or ...
// and go on with a blank or not at all. A marker at the start of a line can't
// be part of a value, so no parsing is needed. Directives (%YAML) stay with the
// document they stand before.
func split(text []byte) []chunk {
	var chunks []chunk
	open := chunk{head: 1}
	directives := false
	flush := func(next int) {
		if open.line > 0 {
			chunks = append(chunks, open.values()...)
		}
		open, directives = chunk{head: next}, false
	}
	number := 0
	for line := range bytes.Lines(text) {
		number++
		content := bytes.TrimSpace(line)
		switch {
		case isMarker(line, "..."):
			flush(number + 1)
			continue
		case isMarker(line, "---"):
			if open.line > 0 || !directives {
				flush(number)
			}
			directives = false
			content = bytes.TrimSpace(content[3:])
		case line[0] == '%' && open.line == 0:
			directives = true
			content = nil
		}
		open.text = append(open.text, line...)
		if open.line == 0 && len(content) > 0 && content[0] != '#' {
			open.line = number
		}
	}
	flush(number + 1)
	return chunks
}

// isMarker tells whether a line is a document marker.
func isMarker(line []byte, marker string) bool {
	rest, found := bytes.CutPrefix(line, []byte(marker))
	return found && (len(rest) == 0 || bytes.IndexByte([]byte(" \t\r\n"), rest[0]) >= 0)
}

// values splits JSON values that follow each other without a marker, as some
// tools write them. Anything else stays whole.
func (c chunk) values() []chunk {
	if !bytes.HasPrefix(bytes.TrimSpace(c.text), []byte("{")) {
		return []chunk{c}
	}
	var values []chunk
	dec := json.NewDecoder(bytes.NewReader(c.text))
	for {
		var value json.RawMessage
		err := dec.Decode(&value)
		if errors.Is(err, io.EOF) {
			return values
		}
		if err != nil { // YAML's {a: b}, or broken: for the parser to tell
			return []chunk{c}
		}
		start := int(dec.InputOffset()) - len(value)
		line := c.head + bytes.Count(c.text[:start], []byte("\n"))
		values = append(values, chunk{text: value, line: line, head: line})
	}
}
