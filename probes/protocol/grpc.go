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
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/protobuf/proto"

	"farpoint.dev/farpoint/probes"
	"farpoint.dev/farpoint/probes/transport"
)

// grpcProber checks what a gRPC server says of a service's health, by the protocol
// grpc.health.v1.
type grpcProber struct {
	dialer  *transport.Dialer
	to      transport.Destination
	tls     *transport.TLSClient // nil for grpc
	request []byte
}

func newGRPCProber(d *transport.Dialer, def Definition, u *url.URL) (probes.Prober, error) {
	to, err := streamDestination(d, def, u)
	if err != nil {
		return nil, err
	}
	check, err := newGRPCCaller(d, def, u, to, "Check")
	if err != nil {
		return nil, err
	}
	if def.GRPC == nil || !def.GRPC.Watch {
		return check, nil
	}
	// A caller of its own: the two may be at work at the same time.
	stream, err := newGRPCCaller(d, def, u, to, "Watch")
	return &grpcWatcher{grpcProber: check, stream: stream}, err
}

// newGRPCCaller prepares calls of one method of the health service.
func newGRPCCaller(d *transport.Dialer, def Definition, u *url.URL, to transport.Destination, method string) (*grpcProber, error) {
	settings := GRPCSettings{}
	if def.GRPC != nil {
		settings = *def.GRPC
	}
	if err := settings.validate(u); err != nil {
		return nil, err
	}
	p := &grpcProber{dialer: d, to: to}
	var err error
	if u.Scheme == "grpcs" {
		if p.tls, err = d.NewTLSClient(def.TLS, to.Host(), alpnHTTP2); err != nil {
			return nil, err
		}
	}
	if def.Credentials != nil {
		if err := def.checkSending(probes.LoginAuthorization, "grpc", p.tls); err != nil {
			return nil, err
		}
	}
	headers, err := grpcHeaders(cmp.Or(settings.Authority, to.String()), u.Scheme, method, def.Credentials)
	if err != nil {
		return nil, err
	}
	p.request, err = grpcRequest(headers, settings.Service)
	return p, err
}

// validate returns an error that tells the user what to write instead.
func (s GRPCSettings) validate(u *url.URL) error {
	switch {
	case strings.Trim(u.Path, "/") != "" || u.Fragment != "":
		return fmt.Errorf("%s URLs take no path or fragment: write the name of the service in healthCheck.grpc.service", u.Scheme)
	case !utf8.ValidString(s.Service):
		return errors.New("healthCheck.grpc.service is not UTF-8: write its full name, such as package.Service")
	case !isHostHeader(s.Authority):
		return errors.New("healthCheck.grpc.authority is not an authority: write a name or an address, with a port if needed")
	}
	return nil
}

// grpcHeadBytes is the length of what comes ahead of each message: whether it is
// compressed, in one byte, and its length in four.
const grpcHeadBytes = 5

// grpcHeaders are those of a call of a method of the health service
// (https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md).
func grpcHeaders(authority, scheme, method string, login *Credentials) ([]hpack.HeaderField, error) {
	under := "http"
	if scheme == "grpcs" {
		under = "https"
	}
	headers := []hpack.HeaderField{
		{Name: ":method", Value: "POST"},
		{Name: ":scheme", Value: under},
		{Name: ":authority", Value: authority},
		{Name: ":path", Value: "/grpc.health.v1.Health/" + method},
		{Name: "te", Value: "trailers"},
		{Name: "content-type", Value: "application/grpc"},
		{Name: "user-agent", Value: userAgent},
	}
	if login == nil {
		return headers, nil
	}
	authorization, err := login.authorization()
	return append(headers, hpack.HeaderField{Name: "authorization", Value: authorization}), err
}

// grpcRequest calls with the name of a service.
func grpcRequest(headers []hpack.HeaderField, service string) ([]byte, error) {
	message, err := proto.Marshal(&grpc_health_v1.HealthCheckRequest{Service: service})
	if err != nil {
		return nil, fmt.Errorf("healthCheckURL has a service that gRPC cannot encode: %w", err)
	}
	body := binary.BigEndian.AppendUint32([]byte{0}, uint32(len(message)))
	return http2Request(headers, append(body, message...))
}

func (p *grpcProber) Location() probes.Location { return p.to.Location() }

// CertificateExpiry implements tlsInfo.
func (p *grpcProber) CertificateExpiry() time.Time { return p.tls.CertificateExpiry() }

// CPUHeavy implements probes.CPUHeavyProber.
func (p *grpcProber) CPUHeavy() bool { return p.tls != nil }

func (p *grpcProber) Scheme() string {
	if p.tls != nil {
		return "grpcs"
	}
	return "grpc"
}

// Probe implements Prober.
func (p *grpcProber) Probe(ctx context.Context) probes.Result {
	var result probes.Result
	err := p.dialer.Converse(ctx, p.to, func(conn transport.Stream) error {
		call, err := p.call(ctx, conn)
		if err != nil {
			return err
		}
		if result, err = call.next(); err == nil {
			err = call.last()
		}
		call.end()
		if err == nil {
			transport.CloseAfterResponse.Apply(ctx, conn)
		}
		return err
	})
	if err != nil {
		return transport.Classify(ctx, err)
	}
	return result
}

// call begins a call over a connection.
func (p *grpcProber) call(ctx context.Context, conn transport.Stream) (*grpcCall, error) {
	over := net.Conn(conn)
	if p.tls != nil {
		var err error
		if over, err = handshakeHTTP2(ctx, p.tls, conn); err != nil {
			return nil, err
		}
	}
	// If the server has closed the connection already, its data before that counts.
	_, _ = over.Write(p.request)
	return &grpcCall{conn: over, reader: newHTTP2Reader(over)}, nil
}

// grpcCall reads the answer to a call.
type grpcCall struct {
	conn   net.Conn
	reader *http2Reader
	// received is what has come of messages that have not been read.
	received []byte
	// trailed: the trailers have come, and the server said in them that all went well.
	trailed bool
}

// maxGRPCBytes bounds a message of the health service, which has two bytes, and what comes
// ahead of it.
const maxGRPCBytes = 1 << 10

// end ends the call and the use of what it returned.
func (c *grpcCall) end() {
	c.reader.closeNotify()
	if client, ok := c.conn.(interface{ CloseWrite() error }); ok {
		_ = client.CloseWrite() // whether it is heard does not matter either
	}
	c.reader.release()
}

// next waits for the next message and returns the service's status in it.
func (c *grpcCall) next() (probes.Result, error) {
	for {
		if message, ok, err := c.message(); ok || err != nil {
			return servingResult(message), err
		}
		if c.trailed || c.reader.ended {
			return probes.Result{}, errNotGRPC // the end without a message
		}
		if err := c.receive(); err != nil {
			return probes.Result{}, err
		}
	}
}

// last waits for the call to end, and to end well.
func (c *grpcCall) last() error {
	for !c.trailed {
		if c.reader.ended {
			return errNotGRPC // without trailers
		}
		if err := c.receive(); err != nil {
			return err
		}
	}
	return nil
}

// receive reads one frame.
func (c *grpcCall) receive() error {
	first := !c.reader.answered
	frame, err := c.reader.next()
	if err != nil {
		return err
	}
	switch frame := frame.(type) {
	case *http2.DataFrame:
		if len(c.received)+len(frame.Data()) > maxGRPCBytes {
			return errNotGRPC
		}
		c.received = append(c.received, frame.Data()...)
		return c.reader.more(frame)
	case *http2.MetaHeadersFrame:
		if first {
			if err := checkGRPCHeaders(frame); err != nil {
				return err
			}
		}
		if frame.StreamEnded() {
			c.trailed = true
			return grpcEnd(frame)
		}
	}
	return nil
}

// checkGRPCHeaders finds what is no gRPC server, such as a proxy that knows no backend.
func checkGRPCHeaders(frame *http2.MetaHeadersFrame) error {
	if status := statusOf(frame); status != 200 {
		return transport.UnexpectedStatus(uint16(status))
	}
	if !strings.HasPrefix(fieldOf(frame, "content-type"), "application/grpc") {
		return errNotGRPC
	}
	return nil
}

// grpcEnd is what the trailers of a call say; nil if it went well.
func grpcEnd(trailers *http2.MetaHeadersFrame) error {
	code, err := strconv.ParseUint(fieldOf(trailers, "grpc-status"), 10, 16)
	if err != nil {
		return errNotGRPC
	}
	switch codes.Code(code) {
	case codes.OK:
		return nil
	case codes.Unimplemented:
		return fault(probes.ReasonHealthUnimplemented)
	case codes.NotFound:
		return fault(probes.ReasonServiceUnknown)
	case codes.Unauthenticated, codes.PermissionDenied:
		return fault(probes.ReasonAuthentication)
	}
	return transport.UnexpectedStatus(uint16(code))
}

// message takes a message out of what has come. It is not ok if there is none yet.
func (c *grpcCall) message() (status grpc_health_v1.HealthCheckResponse_ServingStatus, ok bool, err error) {
	if len(c.received) < grpcHeadBytes {
		return 0, false, nil
	}
	compressed, length := c.received[0], binary.BigEndian.Uint32(c.received[1:])
	if compressed != 0 || length > maxGRPCBytes-grpcHeadBytes {
		return 0, false, errNotGRPC
	}
	end := grpcHeadBytes + int(length)
	if len(c.received) < end {
		return 0, false, nil
	}
	var response grpc_health_v1.HealthCheckResponse
	if proto.Unmarshal(c.received[grpcHeadBytes:end], &response) != nil {
		return 0, false, errNotGRPC
	}
	c.received = append(c.received[:0], c.received[end:]...)
	return response.GetStatus(), true, nil
}

// servingResult is what a server's word amounts to.
func servingResult(status grpc_health_v1.HealthCheckResponse_ServingStatus) probes.Result {
	switch status {
	case grpc_health_v1.HealthCheckResponse_SERVING:
		return probes.SuccessResult()
	case grpc_health_v1.HealthCheckResponse_SERVICE_UNKNOWN:
		return probes.FailureResult(probes.ReasonServiceUnknown)
	}
	return probes.FailureResult(probes.ReasonNotServing)
}

var errNotGRPC = &probes.ReasonError{Reason: probes.ReasonProtocol, Err: errors.New("no gRPC response")}
