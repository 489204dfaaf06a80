/*
Copyright 2026 The Farpoint Authors.

Licensed under the Apache License, Version 2.0 (the "License");
you may not use this file except in compliance with the License.
You may obtain a copy of the License at

    http://www.apache.org/licenses/LICENSE-2.0

Unless required by applicable law or agreed to in writing, software
distributed under the License is distributed on an "AS IS" BASIS,
WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
See the License for the specific language governing permissions and
limitations under the License.
*/

package protocol

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strconv"
	"strings"
	"sync"

	"farpoint.dev/farpoint/probes"
)

// The protocol of Redis, RESP 2: https://redis.io/docs/latest/develop/reference/protocol-spec/

// Bounds of what a reply may be like.
const (
	// maxRESPDepth is how deep arrays may lie in each other. Those of ROLE do twice.
	maxRESPDepth = 4
	// maxRESPElements is how many elements an array may have; ROLE lists all replicas.
	maxRESPElements = 4096
	// maxRESPText is how long a text may be that is kept; longer ones are cut.
	maxRESPText = 64
	// maxRESPKept is of how many elements of an array the texts are kept.
	maxRESPKept = 4
)

// reply is what a probe wants to know of a reply.
type reply struct {
	// failed: it is an error.
	failed bool
	// text is that of a string or an error. Of an array it is that of the first element.
	text string
	// elements are the texts of an array's first elements.
	elements []string
}

// respReader reads the replies of one connection.
type respReader struct {
	bounded
	buffered *bufio.Reader
}

var respReaders = sync.Pool{New: func() any {
	r := &respReader{}
	r.buffered = bufio.NewReader(&r.bounded)
	return r
}}

func newRESPReader(conn io.Reader) *respReader {
	r := respReaders.Get().(*respReader)
	r.bounded = bounded{conn, maxDatabaseBytes}
	r.buffered.Reset(&r.bounded)
	return r
}

func (r *respReader) release() {
	r.from = nil
	respReaders.Put(r)
}

// read reads one reply.
func (r *respReader) read() (reply, error) { return r.readNested(maxRESPDepth) }

func (r *respReader) readNested(depth int) (reply, error) {
	kind, rest, err := r.line()
	if err != nil {
		return reply{}, err
	}
	switch kind {
	case '+', '-':
		return reply{failed: kind == '-', text: string(rest[:min(len(rest), maxRESPText)])}, nil
	case ':':
		if _, err := strconv.ParseInt(string(rest), 10, 64); err != nil {
			return reply{}, fault(probes.ReasonProtocol)
		}
		return reply{}, nil
	case '$':
		text, err := r.bulk(rest)
		return reply{text: text}, err
	case '*':
		return r.array(rest, depth)
	}
	return reply{}, fault(probes.ReasonProtocol)
}

// readText reads a reply that is a long string, whole; "" for another reply, such as an
// error.
func (r *respReader) readText() (string, error) {
	if kind, err := r.buffered.Peek(1); err != nil || kind[0] != '$' {
		_, err := r.read()
		return "", err
	}
	_, length, err := r.line()
	if err != nil {
		return "", err
	}
	n, err := count(length, maxDatabaseBytes)
	if err != nil || n < 0 {
		return "", err
	}
	text := make([]byte, n+len("\r\n"))
	if _, err := io.ReadFull(r.buffered, text); err != nil {
		return "", err
	}
	return string(text[:n]), nil
}

// line reads a line and takes its first byte apart, which says what follows. The rest is
// valid until the next read.
func (r *respReader) line() (kind byte, rest []byte, err error) {
	// What speaks another protocol is known by its first byte; it may end no line.
	first, err := r.buffered.Peek(1)
	if err != nil {
		return 0, nil, err
	}
	if strings.IndexByte("+-:$*", first[0]) < 0 {
		return 0, nil, fault(probes.ReasonProtocol)
	}
	line, err := r.buffered.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		err = fault(probes.ReasonProtocol)
	}
	if err != nil {
		return 0, nil, err
	}
	rest, ok := bytes.CutSuffix(line[1:], []byte("\r\n"))
	if !ok {
		return 0, nil, fault(probes.ReasonProtocol)
	}
	return line[0], rest, nil
}

// bulk reads a string whose length is known.
func (r *respReader) bulk(length []byte) (string, error) {
	n, err := count(length, maxDatabaseBytes)
	if err != nil || n < 0 { // -1 is no string at all
		return "", err
	}
	kept := make([]byte, min(n, maxRESPText))
	if _, err := io.ReadFull(r.buffered, kept); err != nil {
		return "", err
	}
	if _, err := r.buffered.Discard(n - len(kept)); err != nil {
		return "", err
	}
	var end [2]byte
	if _, err := io.ReadFull(r.buffered, end[:]); err != nil {
		return "", err
	}
	if string(end[:]) != "\r\n" {
		return "", fault(probes.ReasonProtocol)
	}
	return string(kept), nil
}

func (r *respReader) array(length []byte, depth int) (reply, error) {
	n, err := count(length, maxRESPElements)
	if err == nil && depth == 0 {
		err = fault(probes.ReasonProtocol)
	}
	var first reply
	for i := 0; i < n && err == nil; i++ {
		var element reply
		element, err = r.readNested(depth - 1)
		if i == 0 {
			first.text = element.text
		}
		if i < maxRESPKept {
			first.elements = append(first.elements, element.text)
		}
	}
	return first, err
}

// count reads a length; -1 stands for nothing.
func count(text []byte, most int) (int, error) {
	n, err := strconv.Atoi(string(text))
	if err == nil && -1 <= n && n <= most {
		return n, nil
	}
	return 0, fault(probes.ReasonProtocol)
}

// appendCommand appends a command to a request.
func appendCommand(request []byte, words ...string) []byte {
	request = append(request, '*')
	request = strconv.AppendInt(request, int64(len(words)), 10)
	for _, word := range words {
		request = append(request, "\r\n$"...)
		request = strconv.AppendInt(request, int64(len(word)), 10)
		request = append(request, "\r\n"...)
		request = append(request, word...)
	}
	return append(request, "\r\n"...)
}
