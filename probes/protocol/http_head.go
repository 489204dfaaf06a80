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
	"math"
	"net/http"
	"strconv"

	"farpoint.dev/farpoint/probes/transport"
)

// responseHead is what a probe needs to know of a response's head.
//
// It is read by rules of our own and not by net/http, whose parser protects those who act upon
// a response: it refuses whatever two parties could understand differently. A probe asks
// whether the endpoint answers, and how. What every browser takes must not take an endpoint
// out, so only the status line can make a head invalid.
type responseHead struct {
	StatusCode int
	// location and encoding are the first Location and Content-Encoding; empty if there are none.
	location, encoding string
	// chunked: the body comes in chunks. Other transfer codings are ignored.
	chunked bool
	// length is the Content-Length, the largest of several; noLength if there is none, so that
	// the body ends with the connection.
	length int64
	// vague: there are several lengths that differ, or some that are no numbers. The body may
	// end early then.
	vague bool
}

const noLength = -1

// readHead reads the head of the final response to a request. What it returns is valid until
// release.
func (r *responseReader) readHead(method string) (*responseHead, error) {
	r.left = maxHeadBytes
	for range 1 + maxInterim {
		status, err := r.readStatus()
		if err == nil {
			r.head = responseHead{StatusCode: status, length: noLength}
			err = r.readFields()
		}
		switch {
		case err != nil:
			return nil, protocolError(err)
		case status >= 200 || status == http.StatusSwitchingProtocols:
			r.head.endBody(method)
			return &r.head, nil
		}
	}
	return nil, protocolError(errManyInterim)
}

// endBody has a response without a body end with its head.
func (h *responseHead) endBody(method string) {
	if method == http.MethodHead || h.StatusCode < 200 || h.StatusCode == http.StatusNoContent || h.StatusCode == http.StatusNotModified {
		h.chunked, h.length, h.vague = false, 0, false
	}
}

// readStatus reads the status line and the empty lines before it.
func (r *responseReader) readStatus() (int, error) {
	if err := r.startsLikeHTTP(); err != nil {
		return 0, err
	}
	line, err := r.readLine()
	if err != nil {
		return 0, err
	}
	status, ok := parseStatus(line)
	if !ok {
		return 0, errNotHTTP
	}
	return status, nil
}

// httpStart is how a status line starts, in either case.
const httpStart = "HTTP/"

// startsLikeHTTP notices other protocols by their first bytes: the end of a line, which they
// need not have, would be waited for.
func (r *responseReader) startsLikeHTTP() error {
	for {
		first, err := r.buffered.Peek(1)
		if err != nil {
			return err
		}
		if first[0] != '\r' && first[0] != '\n' {
			break
		}
		_, _ = r.buffered.Discard(1) // it is there
	}
	have, err := r.buffered.Peek(len(httpStart))
	if !bytes.EqualFold(have, []byte(httpStart[:len(have)])) {
		return errNotHTTP
	}
	return err
}

// parseStatus returns the status of a line such as "HTTP/1.1 200 OK": the major version is 1,
// the minor one anything, blanks come in any number, and the reason phrase is ignored.
func parseStatus(line []byte) (status int, ok bool) {
	version := bytes.IndexAny(line, " \t")
	if version < len(httpStart)+1 || line[len(httpStart)] != '1' {
		return 0, false
	}
	if minor := line[len(httpStart)+1 : version]; len(minor) > 0 && minor[0] != '.' {
		return 0, false
	}
	code := bytes.TrimLeft(line[version:], " \t")
	digits := 0
	for ; digits < len(code) && '0' <= code[digits] && code[digits] <= '9'; digits++ {
		if digits == 3 {
			return 0, false
		}
		status = status*10 + int(code[digits]-'0')
	}
	return status, digits == 3 && status >= 100
}

// readFields reads the header up to the empty line at its end.
func (r *responseReader) readFields() error {
	var last string
	var value []byte
	for {
		line, err := r.readLine()
		switch {
		case err != nil:
			return err
		case len(line) > 0 && (line[0] == ' ' || line[0] == '\t'): // the last field goes on (RFC 9112, 5.2)
			if last != "" {
				value = append(append(value, ' '), bytes.TrimSpace(line)...)
			}
			continue
		case last != "":
			r.head.take(last, bytes.TrimSpace(value))
		}
		if len(line) == 0 {
			return nil
		}
		last = ""
		if name, content, ok := bytes.Cut(line, []byte{':'}); ok {
			if last = fieldName(bytes.TrimSpace(name)); last != "" {
				value = append(value[:0], content...) // the line is valid until the next one
			}
		}
	}
}

// The fields of a header that matter.
const (
	fieldLocation         = "Location"
	fieldContentLength    = "Content-Length"
	fieldContentEncoding  = "Content-Encoding"
	fieldTransferEncoding = "Transfer-Encoding"
)

// fieldName returns the name of a field that matters; empty for all others.
func fieldName(name []byte) string {
	known := ""
	switch len(name) {
	case len(fieldLocation):
		known = fieldLocation
	case len(fieldContentLength):
		known = fieldContentLength
	case len(fieldContentEncoding):
		known = fieldContentEncoding
	case len(fieldTransferEncoding):
		known = fieldTransferEncoding
	}
	if known == "" || !bytes.EqualFold(name, []byte(known)) {
		return ""
	}
	return known
}

// take remembers a field that matters.
func (h *responseHead) take(name string, value []byte) {
	switch name {
	case fieldLocation:
		if h.location == "" {
			h.location = string(value)
		}
	case fieldContentEncoding:
		if h.encoding == "" {
			h.encoding = string(value)
		}
	case fieldTransferEncoding:
		for coding := range bytes.SplitSeq(value, []byte{','}) {
			h.chunked = h.chunked || bytes.EqualFold(bytes.TrimSpace(coding), []byte("chunked"))
		}
	case fieldContentLength:
		for text := range bytes.SplitSeq(value, []byte{','}) {
			length, ok := parseLength(bytes.TrimSpace(text))
			h.vague = h.vague || !ok || h.length != noLength && h.length != length
			if ok {
				h.length = max(h.length, length)
			}
		}
	}
}

// parseLength returns a number of bytes; too large a number is as good as the largest one.
func parseLength(text []byte) (length int64, ok bool) {
	for _, digit := range text {
		switch {
		case digit < '0' || digit > '9':
			return 0, false
		case length > (math.MaxInt64-9)/10:
			length = math.MaxInt64
		default:
			length = length*10 + int64(digit-'0')
		}
	}
	return length, len(text) > 0
}

// readLine reads a line, which ends in LF or CRLF, and returns it without its end. It is valid
// until the next one is read.
func (r *responseReader) readLine() ([]byte, error) {
	line, err := r.buffered.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		long := bytes.Clone(line)
		for errors.Is(err, bufio.ErrBufferFull) {
			line, err = r.buffered.ReadSlice('\n')
			long = append(long, line...)
		}
		line = long
	}
	if err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(line[:len(line)-1], []byte{'\r'}), nil
}

// unread returns how much of the body is still to come from the connection; untilEnd if only
// the end of the connection tells.
func (r *responseReader) unread() int64 {
	have := r.buffered.Buffered()
	switch {
	case r.head.chunked:
		// Trailers are rare, and the end of the connection ends them, too.
		if body, _ := r.buffered.Peek(have); bytes.HasSuffix(body, []byte("0\r\n\r\n")) {
			return 0
		}
		return transport.UntilEnd
	case r.head.length == noLength:
		return transport.UntilEnd
	}
	return max(0, r.head.length-int64(have))
}

// measuredBody is a body of a certain length.
type measuredBody struct {
	source io.Reader
	left   int64
	// vague: it may end early.
	vague bool
}

// Read implements io.Reader.
func (b *measuredBody) Read(p []byte) (int, error) {
	if b.left == 0 {
		return 0, io.EOF
	}
	n, err := b.source.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	if errors.Is(err, io.EOF) && b.left > 0 && !b.vague {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// chunkedBody is a body in chunks, which its trailers end. Lines may end in a bare LF, as in
// the head; net/http/httputil refuses that, to be safe from smuggled requests, which nobody
// can send through a probe.
type chunkedBody struct {
	reader *responseReader
	// left is how much of the present chunk is still to come.
	left  int64
	ended bool
}

// Read implements io.Reader.
func (b *chunkedBody) Read(p []byte) (int, error) {
	if b.left == 0 && !b.ended {
		if err := b.nextChunk(); err != nil {
			return 0, err
		}
	}
	if b.ended {
		return 0, io.EOF
	}
	n, err := b.reader.buffered.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	if err == nil && b.left == 0 {
		err = b.endChunk()
	}
	return n, midway(err)
}

// nextChunk reads the line with a chunk's length, and the trailers after the last chunk.
func (b *chunkedBody) nextChunk() error {
	line, err := b.reader.buffered.ReadSlice('\n')
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		return errNotHTTP // nobody needs so long a line for a length and its extensions
	case err != nil:
		return midway(err)
	}
	digits, _, _ := bytes.Cut(line, []byte{';'})
	length, err := strconv.ParseUint(string(bytes.TrimRight(digits, " \t\r\n")), 16, 63)
	if err != nil {
		return errNotHTTP
	}
	b.left = int64(length)
	if length > 0 {
		return nil
	}
	b.ended = true
	return b.skipTrailers()
}

// endChunk reads the end of the line that a chunk's data are on.
func (b *chunkedBody) endChunk() error {
	line, err := b.reader.readLine()
	if err == nil && len(line) > 0 {
		err = errNotHTTP
	}
	return err
}

// midway is the error of a read in the middle of a body.
func midway(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// skipTrailers returns io.EOF after the trailers. A connection that ends ahead of them has
// brought the whole body.
func (b *chunkedBody) skipTrailers() error {
	for {
		line, err := b.reader.readLine()
		switch {
		case errors.Is(err, errTooMuch):
			return errNotHTTP
		case err != nil:
			return err
		case len(line) == 0:
			return io.EOF
		}
	}
}
