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

	"farpoint.dev/farpoint/test/servers"
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
		{"the server", place, "", nil, SuccessResult()},
		{"the server, with a slash", place, "/", nil, SuccessResult()},
		{"serving", place, "/shop.Cart", nil, SuccessResult()},
		{"not serving", place, "/shop.Stock", nil, FailureResult(ReasonNotServing)},
		{"not known yet", place, "/shop.New", nil, FailureResult(ReasonNotServing)},
		{"no such service", place, "/shop.Nothing", nil, FailureResult(ReasonServiceUnknown)},
		{"no health service", without, "", nil, FailureResult(ReasonHealthUnimplemented)},
		{"no login", strict, "", nil, FailureResult(ReasonAuthentication)},
		{"wrong token", strict, "", &Credentials{Token: "other"}, FailureResult(ReasonAuthentication)},
		{"right token", strict, "", &Credentials{Token: "s3cret"}, SuccessResult()},
		{"permission denied", failing(codes.PermissionDenied), "", nil, FailureResult(ReasonAuthentication)},
		{"unavailable", failing(codes.Unavailable), "", nil, Result{Failure, ReasonStatus, 14}},
		{"nobody listens", refusing(t), "", nil, FailureResult(ReasonConnectionRefused)},
	} {
		t.Run(test.name, func(t *testing.T) {
			def := at(test.place, "grpc://"+test.path)
			def.Credentials, def.SendCredentialsToUnverifiedServers = test.login, true
			if got := result(t, def, ample); got != test.want {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
	states.Shutdown()
	if got, want := result(t, at(place, "grpc:///shop.Cart"), ample), FailureResult(ReasonNotServing); got != want {
		t.Errorf("shut down: got %+v, want %+v", got, want)
	}
}

func TestResult_ServerWithoutHTTP2_SaysALPN(t *testing.T) {
	if message := FailureResult(ReasonALPN).Message(); !strings.Contains(message, "ALPN") || !strings.Contains(message, "h2") {
		t.Errorf("got %q", message)
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
		{"good", server(&tls.Config{Certificates: []tls.Certificate{ca.issue(t)}}), trusting, SuccessResult()},
		{"TLS 1.2", server(&tls.Config{Certificates: []tls.Certificate{ca.issue(t)}, MaxVersion: tls.VersionTLS12}), trusting, SuccessResult()},
		{"expired", server(&tls.Config{Certificates: []tls.Certificate{ca.issue(t, expired)}}), trusting, FailureResult(ReasonCertificate)},
		{"unknown authority", server(&tls.Config{Certificates: []tls.Certificate{ca.issue(t)}}), nil, FailureResult(ReasonCertificate)},
		{"wants a certificate", server(&tls.Config{Certificates: []tls.Certificate{ca.issue(t)}, ClientAuth: tls.RequireAnyClientCert}), trusting, FailureResult(ReasonTLSHandshake)},
		{"gets a certificate", server(&tls.Config{Certificates: []tls.Certificate{ca.issue(t)}, ClientAuth: tls.RequireAnyClientCert}),
			&TLSSettings{CABundle: ca.bundle(), ClientCertificate: &ours}, SuccessResult()},
		{"no ALPN", serve(t, secure(&tls.Config{Certificates: []tls.Certificate{ca.issue(t)}}, silence)), trusting, FailureResult(ReasonALPN)},
		{"only HTTP/1.1", serve(t, secure(&tls.Config{Certificates: []tls.Certificate{ca.issue(t)}, NextProtos: []string{alpnHTTP1}}, silence)), trusting, FailureResult(ReasonALPN)},
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
	rest := []byte(block.String())
	fragment := rest[:min(len(rest), http2Frame)]
	rest = rest[len(fragment):]
	_ = framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: fragment, EndHeaders: len(rest) == 0, EndStream: end})
	for len(rest) > 0 {
		fragment, rest = rest[:min(len(rest), http2Frame)], rest[min(len(rest), http2Frame):]
		_ = framer.WriteContinuation(1, len(rest) == 0, fragment)
	}
}

// okay begins a response as gRPC does.
func okay(framer *http2.Framer) {
	_ = framer.WriteSettings()
	headers(framer, false, ":status", "200", "content-type", "application/grpc+proto")
}

// grpcMessage is one with this status.
func grpcMessage(status byte) []byte { return []byte{0, 0, 0, 0, 2, 8, status} }

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
	probe("serving", ample, SuccessResult())
	states.SetServingStatus("", notServing)
	probe("not serving", ample, FailureResult(ReasonNotServing))
	server.Freeze()
	probe("frozen", brief, FailureResult(ReasonTimeout))
	server.Thaw()
	backend.Stop()
	probe("without a backend", ample, Result{Failure, ReasonStatus, 502})
	server.Stop()
	probe("stopped", ample, FailureResult(ReasonConnectionRefused))
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
		tellFrames(framer, seen)
	}))
	if got := result(t, at(place, "grpc://"), ample); got != SuccessResult() {
		t.Fatalf("got %+v", got)
	}
	wantFrames(t, seen, "SETTINGS", "WINDOW_UPDATE", "HEADERS", "DATA", "SETTINGS", "WINDOW_UPDATE", "WINDOW_UPDATE", "GOAWAY")
}

// tellFrames hands on the types of the frames that come, until there are no more.
func tellFrames(framer *http2.Framer, seen chan<- string) {
	for {
		frame, err := framer.ReadFrame()
		if err != nil {
			seen <- err.Error()
			return
		}
		seen <- frame.Header().Type.String()
	}
}

// wantFrames tests that a server has seen these, and then the end.
func wantFrames(t *testing.T, seen <-chan string, types ...string) {
	t.Helper()
	for _, want := range append(types, io.EOF.Error()) {
		if got := <-seen; got != want {
			t.Errorf("the server saw %s, want %s", got, want)
		}
	}
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
