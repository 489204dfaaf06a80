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
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strconv"
	"sync"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"farpoint.dev/farpoint/probes"
	"farpoint.dev/farpoint/probes/transport"
)

// A probe by HTTP/2 is one request on the only stream of a connection. That takes neither
// the goroutines nor the tables of a transport that is made for many: all that is sent is
// prepared, and the answer is read frame by frame.

const (
	// alpnHTTP2 is the protocol's name in a TLS handshake.
	alpnHTTP2 = "h2"
	// http2Stream is the only stream that there is.
	http2Stream = 1
	// http2Window is how much a server may send without being asked for more. No probe
	// reads as much.
	http2Window = 128 << 10
	// http2Frame is the largest frame that either side may send without being allowed
	// more (RFC 9113, 6.5.2).
	http2Frame = 16 << 10
	// maxHTTP2Bytes is how much is read of a server ahead of what is waited for: heads of
	// maxHeadBytes among it, and their framing.
	maxHTTP2Bytes = 2 * maxHeadBytes
)

// http2Request is all that a probe says: the preface, its settings, and the stream with
// its headers and its body.
func http2Request(headers []hpack.HeaderField, body []byte) ([]byte, error) {
	var request, block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	encoder.SetMaxDynamicTableSize(0) // nothing comes that could refer to it
	var errs []error
	for _, header := range headers {
		errs = append(errs, encoder.WriteField(header))
	}
	request.WriteString(http2.ClientPreface)
	framer := http2.NewFramer(&request, nil)
	errs = append(errs,
		framer.WriteSettings(
			http2.Setting{ID: http2.SettingEnablePush, Val: 0},
			http2.Setting{ID: http2.SettingInitialWindowSize, Val: http2Window},
			http2.Setting{ID: http2.SettingMaxHeaderListSize, Val: maxHeadBytes},
		),
		framer.WriteWindowUpdate(0, http2Window-65535), // the connection begins with 65,535 (RFC 9113, 6.9.2)
		framer.WriteHeaders(http2.HeadersFrameParam{
			StreamID: http2Stream, BlockFragment: block.Next(http2Frame), EndStream: len(body) == 0, EndHeaders: block.Len() == 0,
		}))
	for block.Len() > 0 {
		fragment := block.Next(http2Frame)
		errs = append(errs, framer.WriteContinuation(http2Stream, block.Len() == 0, fragment))
	}
	if len(body) > 0 {
		errs = append(errs, framer.WriteData(http2Stream, true, body))
	}
	return request.Bytes(), errors.Join(errs...)
}

// handshakeHTTP2 is handshake with a server that must choose HTTP/2.
func handshakeHTTP2(ctx context.Context, c *transport.TLSClient, conn transport.Stream) (*tls.Conn, error) {
	client, err := c.Handshake(ctx, conn)
	switch {
	case refusesProtocols(err), err == nil && client.ConnectionState().NegotiatedProtocol != alpnHTTP2:
		return nil, fault(probes.ReasonALPN)
	}
	return client, err
}

// alertNoProtocol is the alert of a server that knows none of the protocols that ALPN offers
// (RFC 7301, 3.2).
const alertNoProtocol tls.AlertError = 120

// refusesProtocols reports whether a handshake failed with that alert, whose type crypto/tls
// keeps to itself.
func refusesProtocols(err error) bool {
	var alert *net.OpError
	return errors.As(err, &alert) && alert.Op == "remote error" && alert.Err.Error() == alertNoProtocol.Error()
}

// http2Reader reads what comes on the stream and sees to the connection meanwhile. It
// bounds the bytes; the connection's deadline bounds the time.
type http2Reader struct {
	framer   *http2.Framer
	bounded  bounded
	buffered *bufio.Reader
	// settled: the server's settings have come, which is how it shows that it speaks
	// HTTP/2.
	settled bool
	// answered: the final headers have come; what follows are trailers. interim counts
	// the 1xx responses before them.
	answered bool
	interim  int
	// ended: the server has said all.
	ended bool
}

// http2Buffers are for reading frames, of which most are small.
var http2Buffers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, 1<<10) }}

// newHTTP2Reader begins to read the answer to a request. It is released at last.
func newHTTP2Reader(conn io.ReadWriter) *http2Reader {
	r := &http2Reader{bounded: bounded{conn, maxHTTP2Bytes}, buffered: http2Buffers.Get().(*bufio.Reader)}
	r.buffered.Reset(&r.bounded)
	r.framer = http2.NewFramer(conn, r.buffered)
	r.framer.SetReuseFrames()
	r.framer.SetMaxReadFrameSize(http2Frame)
	r.framer.MaxHeaderListSize = maxHeadBytes
	r.framer.ReadMetaHeaders = hpack.NewDecoder(4<<10, nil) // the size that RFC 9113, 6.5.2, begins with
	return r
}

func (r *http2Reader) release() {
	r.buffered.Reset(nil)
	http2Buffers.Put(r.buffered)
}

// allow lets so much be read from now on.
func (r *http2Reader) allow(bytes int) { r.bounded.left = bytes }

// next returns the next headers, data or trailers: a MetaHeadersFrame or a DataFrame. It is
// valid until the next call.
func (r *http2Reader) next() (http2.Frame, error) {
	for {
		frame, err := r.framer.ReadFrame()
		if err != nil {
			return nil, protocolError(err)
		}
		if _, ok := frame.(*http2.SettingsFrame); !ok && !r.settled {
			return nil, protocolError(errNotHTTP2)
		}
		r.settled = true
		if mine, err := r.take(frame); mine || err != nil {
			return frame, err
		}
	}
}

// take reports whether a frame is part of the answer, and does what the others ask for.
func (r *http2Reader) take(frame http2.Frame) (mine bool, err error) {
	switch frame := frame.(type) {
	case *http2.MetaHeadersFrame:
		return r.takeHeaders(frame)
	case *http2.DataFrame:
		if !r.answered || frame.StreamID != http2Stream {
			return false, protocolError(errNotHTTP2)
		}
		r.ended = frame.StreamEnded()
		return true, nil
	case *http2.SettingsFrame:
		if !frame.IsAck() {
			return false, r.framer.WriteSettingsAck()
		}
	case *http2.PingFrame:
		if !frame.IsAck() {
			return false, r.framer.WritePing(true, frame.Data)
		}
	case *http2.RSTStreamFrame:
		if frame.ErrCode == http2.ErrCodeHTTP11Required {
			return false, protocolError(errNotHTTP2)
		}
		return false, fault(probes.ReasonConnectionClosed)
	case *http2.GoAwayFrame:
		if frame.LastStreamID < http2Stream {
			return false, fault(probes.ReasonConnectionClosed) // it never looked at the request
		}
	case *http2.PushPromiseFrame:
		return false, protocolError(errNotHTTP2) // we do not allow it
	}
	return false, nil
}

func (r *http2Reader) takeHeaders(frame *http2.MetaHeadersFrame) (mine bool, err error) {
	// A header that is too long is cut off. Its status comes first.
	if frame.StreamID != http2Stream || r.ended {
		return false, protocolError(errNotHTTP2)
	}
	r.ended = frame.StreamEnded()
	if r.answered {
		return true, nil
	}
	switch status := statusOf(frame); {
	case status < 100, status < 200 && r.ended:
		return false, protocolError(errNotHTTP2)
	case status >= 200:
		r.answered = true
		return true, nil
	case r.interim == maxInterim:
		return false, protocolError(errManyInterim)
	}
	r.interim++
	return false, nil
}

// statusOf is that of a response's headers; 0 if there is none.
func statusOf(frame *http2.MetaHeadersFrame) int {
	status, err := strconv.ParseUint(frame.PseudoValue("status"), 10, 16)
	if err != nil {
		return 0
	}
	return int(status)
}

// head returns the final headers of an answer that is about to be read.
func (r *http2Reader) head() (*http2.MetaHeadersFrame, error) {
	frame, err := r.next()
	if err != nil {
		return nil, err
	}
	return frame.(*http2.MetaHeadersFrame), nil // no data is taken before them
}

// http2Body is the rest of an answer, without its trailers.
type http2Body struct {
	reader *http2Reader
	// unread is what is left of the last frame.
	unread []byte
}

// Read implements io.Reader.
func (b *http2Body) Read(p []byte) (int, error) {
	for len(b.unread) == 0 {
		if b.reader.ended {
			return 0, io.EOF
		}
		frame, err := b.reader.next()
		if errors.Is(err, io.EOF) {
			return 0, fault(probes.ReasonConnectionClosed) // it ends otherwise, by a frame that says so
		}
		if err != nil {
			return 0, err
		}
		if data, ok := frame.(*http2.DataFrame); ok {
			b.unread = data.Data()
		} else if !b.reader.ended {
			return 0, protocolError(errNotHTTP2) // there is nothing after trailers
		}
	}
	n := copy(p, b.unread)
	b.unread = b.unread[n:]
	return n, nil
}

// fieldOf is the first value of a header or trailer; empty if there is none.
func fieldOf(frame *http2.MetaHeadersFrame, name string) string {
	for _, field := range frame.RegularFields() {
		if field.Name == name {
			return field.Value
		}
	}
	return ""
}

// more lets the server send as much again as it has sent in a frame.
func (r *http2Reader) more(frame *http2.DataFrame) error {
	if frame.Length == 0 {
		return nil
	}
	if err := r.framer.WriteWindowUpdate(0, frame.Length); err != nil {
		return err
	}
	return r.framer.WriteWindowUpdate(http2Stream, frame.Length)
}

// discardBody reads the rest of an answer, within bounds.
func (r *http2Reader) discardBody() {
	r.allow(transport.MaxLingerBytes + maxFramingBytes)
	for !r.ended {
		if _, err := r.next(); err != nil {
			return
		}
	}
}

// closeNotify ends the connection as a client should. It does not matter whether the server
// hears it.
func (r *http2Reader) closeNotify() {
	if !r.ended {
		_ = r.framer.WriteRSTStream(http2Stream, http2.ErrCodeCancel)
	}
	_ = r.framer.WriteGoAway(0, http2.ErrCodeNo, nil)
}

var errNotHTTP2 = errors.New("no HTTP/2 response")
