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

package probes

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"farpoint.dev/farpoint/hack/servers"
)

const (
	serving    = grpc_health_v1.HealthCheckResponse_SERVING
	notServing = grpc_health_v1.HealthCheckResponse_NOT_SERVING
)

// grpcServer runs a server of grpc-go until the test ends. The health service is
// registered unless it is nil.
func grpcServer(t testing.TB, service grpc_health_v1.HealthServer, options ...grpc.ServerOption) (*grpc.Server, netip.AddrPort) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(options...)
	if service != nil {
		grpc_health_v1.RegisterHealthServer(server, service)
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-ended; err != nil && !errors.Is(err, grpc.ErrServerStopped) {
			t.Error(err)
		}
	})
	return server, addrOf(listener)
}

func TestGRPCProbe(t *testing.T) {
	states := health.NewServer()
	states.SetServingStatus("shop.Cart", serving)
	states.SetServingStatus("shop.Stock", notServing)
	states.SetServingStatus("shop.New", grpc_health_v1.HealthCheckResponse_UNKNOWN)
	_, place := grpcServer(t, states)
	_, without := grpcServer(t, nil)
	_, strict := grpcServer(t, states, grpc.UnaryInterceptor(func(ctx context.Context, request any, _ *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
		if given, _ := metadata.FromIncomingContext(ctx); len(given["authorization"]) != 1 || given["authorization"][0] != "Bearer s3cret" {
			return nil, status.Error(codes.Unauthenticated, "s3cret")
		}
		return handle(ctx, request)
	}))
	failing := func(code codes.Code) netip.AddrPort {
		_, place := grpcServer(t, states, grpc.UnaryInterceptor(func(context.Context, any, *grpc.UnaryServerInfo, grpc.UnaryHandler) (any, error) {
			return nil, status.Error(code, "s3cret")
		}))
		return place
	}
	for _, test := range []struct {
		name  string
		place netip.AddrPort
		path  string
		login *Credentials
		want  Result
	}{
		{"the server", place, "", nil, success()},
		{"the server, with a slash", place, "/", nil, success()},
		{"serving", place, "/shop.Cart", nil, success()},
		{"not serving", place, "/shop.Stock", nil, failure(ReasonNotServing)},
		{"not known yet", place, "/shop.New", nil, failure(ReasonNotServing)},
		{"no such service", place, "/shop.Nothing", nil, failure(ReasonServiceUnknown)},
		{"no health service", without, "", nil, failure(ReasonHealthUnimplemented)},
		{"no login", strict, "", nil, failure(ReasonAuthentication)},
		{"wrong token", strict, "", &Credentials{Token: "other"}, failure(ReasonAuthentication)},
		{"right token", strict, "", &Credentials{Token: "s3cret"}, success()},
		{"permission denied", failing(codes.PermissionDenied), "", nil, failure(ReasonAuthentication)},
		{"unavailable", failing(codes.Unavailable), "", nil, Result{Failure, ReasonStatus, 14}},
		{"nobody listens", refusing(t), "", nil, failure(ReasonConnectionRefused)},
	} {
		t.Run(test.name, func(t *testing.T) {
			def := at(test.place, "grpc://"+test.path)
			def.Credentials = test.login
			if got := result(t, def, ample); got != test.want {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
	states.Shutdown()
	if got, want := result(t, at(place, "grpc:///shop.Cart"), ample), failure(ReasonNotServing); got != want {
		t.Errorf("shut down: got %+v, want %+v", got, want)
	}
}

func TestGRPCSProbe(t *testing.T) {
	ca := newAuthority(t)
	ours := ca.issue(t, forClients)
	server := func(config *tls.Config) netip.AddrPort {
		_, place := grpcServer(t, health.NewServer(), grpc.Creds(credentials.NewTLS(config)))
		return place
	}
	trusting := &TLSSettings{CABundle: ca.bundle()}
	for _, test := range []struct {
		name     string
		place    netip.AddrPort
		settings *TLSSettings
		want     Result
	}{
		{"good", server(&tls.Config{Certificates: []tls.Certificate{ca.issue(t)}}), trusting, success()},
		{"TLS 1.2", server(&tls.Config{Certificates: []tls.Certificate{ca.issue(t)}, MaxVersion: tls.VersionTLS12}), trusting, success()},
		{"expired", server(&tls.Config{Certificates: []tls.Certificate{ca.issue(t, expired)}}), trusting, failure(ReasonCertificate)},
		{"unknown authority", server(&tls.Config{Certificates: []tls.Certificate{ca.issue(t)}}), nil, failure(ReasonCertificate)},
		{"wants a certificate", server(&tls.Config{Certificates: []tls.Certificate{ca.issue(t)}, ClientAuth: tls.RequireAnyClientCert}), trusting, failure(ReasonTLSHandshake)},
		{"gets a certificate", server(&tls.Config{Certificates: []tls.Certificate{ca.issue(t)}, ClientAuth: tls.RequireAnyClientCert}),
			&TLSSettings{CABundle: ca.bundle(), ClientCertificate: &ours}, success()},
		{"no ALPN", serve(t, secure(&tls.Config{Certificates: []tls.Certificate{ca.issue(t)}}, silence)), trusting, failure(ReasonProtocol)},
		{"only HTTP/1.1", serve(t, secure(&tls.Config{Certificates: []tls.Certificate{ca.issue(t)}, NextProtos: []string{alpnHTTP1}}, silence)), trusting, failure(ReasonTLSHandshake)},
	} {
		t.Run(test.name, func(t *testing.T) {
			def := at(test.place, "grpcs://")
			def.TLS = test.settings
			prober := prepare(t, def)
			for range 2 {
				if got := probeOnce(t, prober, ample); got != test.want {
					t.Errorf("got %+v, want %+v", got, test.want)
				}
			}
		})
	}
	plain, secured := at(server(&tls.Config{Certificates: []tls.Certificate{ca.issue(t)}}), "grpc://"), at(refusing(t), "grpcs://")
	_, place := grpcServer(t, health.NewServer())
	secured.Address, secured.Port = place.Addr(), place.Port()
	for _, def := range []Definition{plain, secured} {
		if got := result(t, def, ample); got.Outcome != Failure {
			t.Errorf("%s of the other kind of server: got %+v", def.URL, got)
		}
	}
}

// frames is a server that reads the preface and speaks by a framer.
func frames(talk func(*http2.Framer)) func(net.Conn) {
	return func(conn net.Conn) {
		if _, err := io.ReadFull(conn, make([]byte, len(http2.ClientPreface))); err != nil {
			return
		}
		framer := http2.NewFramer(conn, conn)
		framer.AllowIllegalWrites = true
		talk(framer)
	}
}

// headers are those of a response, in pairs.
func headers(framer *http2.Framer, end bool, pairs ...string) {
	var block strings.Builder
	encoder := hpack.NewEncoder(&block)
	for i := 0; i < len(pairs); i += 2 {
		_ = encoder.WriteField(hpack.HeaderField{Name: pairs[i], Value: pairs[i+1]})
	}
	_ = framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte(block.String()), EndHeaders: true, EndStream: end})
}

// okay begins a response as gRPC does.
func okay(framer *http2.Framer) {
	_ = framer.WriteSettings()
	headers(framer, false, ":status", "200", "content-type", "application/grpc+proto")
}

// grpcMessage is one with this status.
func grpcMessage(status byte) []byte { return []byte{0, 0, 0, 0, 2, 8, status} }

func TestGRPCProbeOfOddServers(t *testing.T) {
	const well = "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"
	data := func(end bool, bytes ...byte) func(*http2.Framer) {
		return func(framer *http2.Framer) {
			okay(framer)
			_ = framer.WriteData(1, end, bytes)
			headers(framer, true, "grpc-status", "0")
		}
	}
	repeated := func(write func(*http2.Framer) error) func(*http2.Framer) {
		return func(framer *http2.Framer) {
			err := framer.WriteSettings()
			for err == nil {
				err = write(framer)
			}
		}
	}
	for _, test := range []struct {
		name    string
		talk    func(net.Conn)
		timeout time.Duration
		want    Result
	}{
		{"as it should be", frames(data(false, grpcMessage(1)...)), ample, success()},
		{"in pieces", frames(func(framer *http2.Framer) {
			okay(framer)
			for _, piece := range grpcMessage(1) {
				_ = framer.WriteData(1, false, []byte{piece})
			}
			headers(framer, true, "grpc-status", "0")
		}), ample, success()},
		{"padded, with other frames between", frames(func(framer *http2.Framer) {
			okay(framer)
			_ = framer.WritePing(false, [8]byte{1})
			_ = framer.WriteWindowUpdate(0, 100)
			_ = framer.WriteRawFrame(0xbe, 0, 1, []byte("unknown"))
			_ = framer.WriteGoAway(1, http2.ErrCodeNo, nil)
			_ = framer.WriteDataPadded(1, false, grpcMessage(1), make([]byte, 100))
			headers(framer, true, "grpc-status", "0")
		}), ample, success()},
		{"interim headers", frames(func(framer *http2.Framer) {
			_ = framer.WriteSettings()
			headers(framer, false, ":status", "103")
			data(false, grpcMessage(1)...)(framer)
		}), ample, success()},
		{"message, then an error", frames(func(framer *http2.Framer) {
			okay(framer)
			_ = framer.WriteData(1, false, grpcMessage(1))
			headers(framer, true, "grpc-status", "13")
		}), ample, Result{Failure, ReasonStatus, 13}},

		{"no message", frames(data(false)), ample, failure(ReasonProtocol)},
		{"no trailers", frames(data(true, grpcMessage(1)...)), ample, failure(ReasonProtocol)},
		{"half a message", frames(data(false, grpcMessage(1)[:6]...)), ample, failure(ReasonProtocol)},
		{"compressed", frames(data(false, 1, 0, 0, 0, 2, 8, 1)), ample, failure(ReasonProtocol)},
		{"huge message", frames(data(false, 0, 255, 255, 255, 255)), ample, failure(ReasonProtocol)},
		{"malformed message", frames(data(false, 0, 0, 0, 0, 2, 8, 255)), ample, failure(ReasonProtocol)},
		{"odd grpc-status", frames(func(framer *http2.Framer) {
			_ = framer.WriteSettings()
			headers(framer, true, ":status", "200", "content-type", "application/grpc", "grpc-status", "s3cret")
		}), ample, failure(ReasonProtocol)},
		{"a proxy without a backend", frames(func(framer *http2.Framer) {
			_ = framer.WriteSettings()
			headers(framer, true, ":status", "503")
		}), ample, Result{Failure, ReasonStatus, 503}},
		{"a web server", frames(func(framer *http2.Framer) {
			_ = framer.WriteSettings()
			headers(framer, false, ":status", "200", "content-type", "text/html")
		}), ample, failure(ReasonProtocol)},
		{"no status", frames(func(framer *http2.Framer) {
			_ = framer.WriteSettings()
			headers(framer, true, "content-type", "application/grpc")
		}), ample, failure(ReasonProtocol)},
		{"data first", frames(func(framer *http2.Framer) {
			_ = framer.WriteSettings()
			_ = framer.WriteData(1, false, grpcMessage(1))
		}), ample, failure(ReasonProtocol)},
		{"no settings", frames(func(framer *http2.Framer) { _ = framer.WritePing(false, [8]byte{}) }), ample, failure(ReasonProtocol)},
		{"another stream", frames(func(framer *http2.Framer) {
			okay(framer)
			_ = framer.WriteData(3, false, grpcMessage(1))
		}), ample, failure(ReasonProtocol)},
		{"push", frames(func(framer *http2.Framer) {
			_ = framer.WriteSettings()
			_ = framer.WritePushPromise(http2.PushPromiseParam{StreamID: 1, PromiseID: 2, EndHeaders: true})
		}), ample, failure(ReasonProtocol)},
		{"refused stream", frames(func(framer *http2.Framer) {
			_ = framer.WriteSettings()
			_ = framer.WriteRSTStream(1, http2.ErrCodeRefusedStream)
		}), ample, failure(ReasonConnectionClosed)},
		{"going away", frames(func(framer *http2.Framer) {
			_ = framer.WriteSettings()
			_ = framer.WriteGoAway(0, http2.ErrCodeNo, nil)
		}), ample, failure(ReasonConnectionClosed)},

		{"HTTP/1.1", func(conn net.Conn) { _, _ = io.WriteString(conn, well) }, ample, failure(ReasonProtocol)},
		{"mail", func(conn net.Conn) { _, _ = io.WriteString(conn, "220 mail ready\r\n") }, ample, failure(ReasonProtocol)},
		{"silent", silence, brief, failure(ReasonTimeout)},
		{"silent after the settings", frames(func(framer *http2.Framer) { _ = framer.WriteSettings() }), brief, failure(ReasonTimeout)},
		{"closes at once", closing(silence), ample, failure(ReasonConnectionClosed)},
		{"resets at once", aborting(silence), ample, failure(ReasonConnectionClosed)},
		{"closes within a frame", closing(func(conn net.Conn) { _, _ = io.WriteString(conn, "\x00\x00\x06\x04\x00\x00") }), ample, failure(ReasonConnectionClosed)},
		{"drip", func(conn net.Conn) { drip(conn, "\x00\x40\x00\x04\x00\x00\x00\x00\x00", "\x00") }, brief, failure(ReasonTimeout)},
		{"huge frame", func(conn net.Conn) { drip(conn, "\xff\xff\xff\x04\x00\x00\x00\x00\x00", "\x00") }, ample, failure(ReasonProtocol)},
		{"endless pings", frames(repeated(func(framer *http2.Framer) error { return framer.WritePing(false, [8]byte{}) })), ample, failure(ReasonProtocol)},
		{"endless settings", frames(repeated(func(framer *http2.Framer) error { return framer.WriteSettings() })), ample, failure(ReasonProtocol)},
		{"endless interim headers", frames(repeated(func(framer *http2.Framer) error {
			headers(framer, false, ":status", "103")
			return framer.WriteWindowUpdate(0, 1)
		})), ample, failure(ReasonProtocol)},
		{"endless headers", frames(func(framer *http2.Framer) {
			_ = framer.WriteSettings()
			err := framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1})
			for err == nil {
				err = framer.WriteContinuation(1, false, []byte(strings.Repeat("\x00\x01a\x01b", 100)))
			}
		}), ample, failure(ReasonProtocol)},
		{"endless data", frames(func(framer *http2.Framer) {
			okay(framer)
			for err := error(nil); err == nil; {
				err = framer.WriteData(1, false, make([]byte, 100))
			}
		}), ample, failure(ReasonProtocol)},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := result(t, at(serve(t, test.talk), "grpc:///shop.Cart"), test.timeout); got != test.want {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}

func TestGRPCProbeThroughNginx(t *testing.T) {
	states := health.NewServer()
	backend, behind := grpcServer(t, states)
	ca := newAuthority(t)
	plain, secured := refusing(t), refusing(t)
	server := servers.NewNginx(t)
	server.Serve(plain, fmt.Sprintf(`
		server { listen %s http2; location / { grpc_pass grpc://%s; } }
		server { listen %s ssl http2; %s location / { grpc_pass grpc://%[2]s; } }`,
		plain, behind, secured, server.TLS(inPEM(t, ca.issue(t)))))
	probe := func(name string, timeout time.Duration, want Result) {
		t.Helper()
		for _, def := range []Definition{at(plain, "grpc:///"), at(secured, "grpcs:///")} {
			def.TLS = &TLSSettings{CABundle: ca.bundle()}
			if got := result(t, def, timeout); got != want {
				t.Errorf("%s, %s: got %+v, want %+v", name, def.URL, got, want)
			}
		}
	}
	probe("serving", ample, success())
	states.SetServingStatus("", notServing)
	probe("not serving", ample, failure(ReasonNotServing))
	server.Freeze()
	probe("frozen", brief, failure(ReasonTimeout))
	server.Thaw()
	backend.Stop()
	probe("without a backend", ample, Result{Failure, ReasonStatus, 502})
	server.Stop()
	probe("stopped", ample, failure(ReasonConnectionRefused))
}

func TestGRPCProbeCanceled(t *testing.T) {
	connected := make(chan struct{})
	testCanceled(t, at(serve(t, func(net.Conn) { close(connected) }), "grpc://"), connected)
}

// TestGRPCProbeEndsPolitely looks at what the server reads.
func TestGRPCProbeEndsPolitely(t *testing.T) {
	seen := make(chan string, 10)
	place := serve(t, frames(func(framer *http2.Framer) {
		okay(framer)
		_ = framer.WriteData(1, false, grpcMessage(1))
		headers(framer, true, "grpc-status", "0")
		for {
			frame, err := framer.ReadFrame()
			if err != nil {
				seen <- err.Error()
				return
			}
			seen <- frame.Header().Type.String()
		}
	}))
	if got := result(t, at(place, "grpc://"), ample); got != success() {
		t.Fatalf("got %+v", got)
	}
	for _, want := range []string{"SETTINGS", "WINDOW_UPDATE", "HEADERS", "DATA", "SETTINGS", "WINDOW_UPDATE", "WINDOW_UPDATE", "GOAWAY", io.EOF.Error()} {
		if got := <-seen; got != want {
			t.Errorf("the server saw %s, want %s", got, want)
		}
	}
}

// FuzzGRPCAnswer: whatever a server sends, reading it ends without a panic, and what is
// read is bounded.
func FuzzGRPCAnswer(f *testing.F) {
	well := func(talk func(*http2.Framer)) []byte {
		var answer strings.Builder
		talk(http2.NewFramer(&answer, nil))
		return []byte(answer.String())
	}
	f.Add(well(func(framer *http2.Framer) {
		okay(framer)
		_ = framer.WriteData(1, false, grpcMessage(1))
		headers(framer, true, "grpc-status", "0")
	}))
	f.Add(well(func(framer *http2.Framer) {
		_ = framer.WriteSettings()
		headers(framer, true, ":status", "200", "content-type", "application/grpc", "grpc-status", "12")
	}))
	f.Add([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
	f.Fuzz(func(t *testing.T, answer []byte) {
		from := strings.NewReader(string(answer) + strings.Repeat("\x00\x00\x00\x06\x01\x00\x00\x00\x00", 10_000))
		reader := newHTTP2Reader(struct {
			io.Reader
			io.Writer
		}{from, io.Discard})
		defer reader.release()
		call := grpcCall{reader: reader}
		result, err := call.next()
		if err == nil {
			err = call.last()
		}
		if err != nil {
			result = classify(t.Context(), err)
		}
		if read := int(from.Size()) - from.Len(); read > maxHTTP2Bytes {
			t.Errorf("%d bytes were read", read)
		}
		if result.Outcome == Unknown {
			t.Errorf("%q: got %+v", answer, result)
		}
	})
}

// benchmarkGRPCProbe asks a server that costs as little as can be.
func benchmarkGRPCProbe(b *testing.B) {
	var answer bytes.Buffer
	framer := http2.NewFramer(&answer, nil)
	okay(framer)
	_ = framer.WriteData(1, false, grpcMessage(1))
	headers(framer, true, "grpc-status", "0")
	benchmark(b, at(serve(b, func(conn net.Conn) {
		if _, err := io.ReadFull(conn, make([]byte, len(http2.ClientPreface))); err == nil {
			_, _ = conn.Write(answer.Bytes())
		}
	}), "grpc:///shop.Cart"))
}

func benchmarkGRPCSProbe(b *testing.B) {
	ca := newAuthority(b)
	_, place := grpcServer(b, health.NewServer(), grpc.Creds(credentials.NewTLS(&tls.Config{Certificates: []tls.Certificate{ca.issue(b)}})))
	def := at(place, "grpcs:///")
	def.TLS = &TLSSettings{CABundle: ca.bundle()}
	benchmark(b, def)
}
