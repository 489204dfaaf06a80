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
	"compress/gzip"
	"errors"
	"io"
	"strings"
	"sync"

	"farpoint.dev/farpoint/probes"
)

// Bounds of what is read of a response, whatever the endpoint sends.
const (
	// maxHeadBytes is for the status line and the headers, those of interim responses
	// included. Proxies and browsers take 16 to 64 KiB, some of them more.
	maxHeadBytes = 128 << 10
	// maxFramingBytes may come on top of a body's bytes, for the framing of chunks.
	// net/http bounds it alike.
	maxFramingBytes = 16 << 10
	// maxInterim is how many 1xx responses may come before the final one. A server that
	// sends 102 while it works sends one every few seconds.
	maxInterim = 256
)

// Marks of a peer that does not speak HTTP as it should.
var (
	errNotHTTP     = errors.New("no HTTP/1 response")
	errTooMuch     = errors.New("more bytes than the probe reads")
	errManyInterim = errors.New("too many interim responses")
)

// responseReader reads one response. It bounds the bytes; the connection's deadline bounds
// the time.
type responseReader struct {
	conn io.Reader
	// left is how many bytes may still be taken from the connection.
	left     int
	buffered *bufio.Reader
	head     responseHead
	body     bytes.Buffer
}

var responseReaders = sync.Pool{New: func() any {
	r := &responseReader{}
	r.buffered = bufio.NewReader(r)
	return r
}}

func newResponseReader(conn io.Reader) *responseReader {
	r := responseReaders.Get().(*responseReader)
	r.conn = conn
	r.buffered.Reset(r)
	return r
}

// release ends the use of the reader and of all responses and bodies read by it.
func (r *responseReader) release() {
	r.conn, r.head = nil, responseHead{}
	responseReaders.Put(r)
}

// Read implements io.Reader for the buffer.
func (r *responseReader) Read(p []byte) (int, error) {
	if r.left == 0 {
		return 0, errTooMuch
	}
	n, err := r.conn.Read(p[:min(len(p), r.left)])
	r.left -= n
	return n, err
}

// readBody returns the body, or its first bytes up to the limit. They are valid until
// release.
func (r *responseReader) readBody(head *responseHead, limit int) ([]byte, error) {
	r.left = limit + maxFramingBytes
	var source io.Reader = r.buffered
	switch {
	case head.chunked:
		source = &chunkedBody{reader: r}
	case head.length != noLength:
		source = &measuredBody{r.buffered, head.length, head.vague}
	}
	return readBody(&r.body, source, head.encoding, limit)
}

// readBody reads a body, or its first bytes up to the limit, into a buffer, and returns
// what is in it then.
func readBody(into *bytes.Buffer, source io.Reader, encoding string, limit int) ([]byte, error) {
	into.Reset()
	// A probe asks for no compression, yet some servers always compress.
	switch strings.ToLower(encoding) {
	case "gzip", "x-gzip":
		unzipper := unzippers.Get().(*gzip.Reader)
		defer unzippers.Put(unzipper)
		switch err := unzipper.Reset(source); {
		case errors.Is(err, io.EOF):
			return nil, nil // nothing at all is an empty body, too
		case err != nil:
			return endOfBody(into, err)
		}
		source = unzipper
	}
	_, err := into.ReadFrom(io.LimitReader(source, int64(limit)))
	return endOfBody(into, err)
}

// endOfBody is what readBody returns. More than is read need not be: what there is counts.
func endOfBody(read *bytes.Buffer, err error) ([]byte, error) {
	if err != nil && !errors.Is(err, errTooMuch) {
		return nil, protocolError(err)
	}
	return read.Bytes(), nil
}

var unzippers = sync.Pool{New: func() any { return new(gzip.Reader) }}

// protocolError blames the endpoint's HTTP unless err turns out to be the network's, or
// blames somebody already.
func protocolError(err error) error {
	if err == nil {
		return nil
	}
	var stage *probes.ReasonError
	if errors.As(err, &stage) {
		return err
	}
	return &probes.ReasonError{Reason: probes.ReasonProtocol, Err: err}
}
