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

package controllers_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	eventsv1 "k8s.io/api/events/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	farpointv1 "farpoint.dev/farpoint/api/v1"
	"farpoint.dev/farpoint/controllers"
)

// words are secrets that must not be repeated, by where they were planted. They are labels
// of a DNS name, so that they can be planted nearly everywhere.
type words map[string]string

func (w words) plant(origin string) string {
	GinkgoHelper()
	random := make([]byte, 8)
	_, err := rand.Read(random)
	Expect(err).NotTo(HaveOccurred())
	w[origin] = "canary" + hex.EncodeToString(random)
	return w[origin]
}

// in returns the places whose words a text repeats, also in base64.
func (w words) in(text string) []string {
	var origins []string
	for origin, word := range w {
		if strings.Contains(text, word) || strings.Contains(text, base64.StdEncoding.EncodeToString([]byte(word))) {
			origins = append(origins, origin)
		}
	}
	return origins
}

// talker returns the address of a server that answers each connection like this, at once or after
// the first bytes.
func talker(listens bool, answer string) string {
	GinkgoHelper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(listener.Close)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = conn.Close() }()
				_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
				if listens {
					_, _ = conn.Read(make([]byte, 4096))
				}
				_, _ = io.WriteString(conn, answer)
				_, _ = io.Copy(io.Discard, conn) // until the probe has hung up
			}()
		}
	}()
	return listener.Addr().String()
}

// talkativeGRPC is a health server that fails with this message, and says it in headers.
func talkativeGRPC(message, header string) string {
	GinkgoHelper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	Expect(err).NotTo(HaveOccurred())
	server := grpc.NewServer(grpc.UnaryInterceptor(func(ctx context.Context, _ any, _ *grpc.UnaryServerInfo, _ grpc.UnaryHandler) (any, error) {
		_ = grpc.SetTrailer(ctx, metadata.Pairs("x-word", header))
		return nil, status.Error(codes.Internal, message)
	}))
	grpc_health_v1.RegisterHealthServer(server, grpc_health_v1.UnimplementedHealthServer{})
	go func() { _ = server.Serve(listener) }()
	DeferCleanup(server.Stop)
	return listener.Addr().String()
}

// talkativeDNS answers that there is no such name, in a zone with this name.
func talkativeDNS(zone string) string {
	GinkgoHelper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	Expect(err).NotTo(HaveOccurred())
	server := &dns.Server{PacketConn: conn, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, query *dns.Msg) {
		answer := new(dns.Msg)
		answer.SetRcode(query, dns.RcodeNameError)
		answer.Ns = []dns.RR{&dns.SOA{Hdr: dns.RR_Header{Name: zone + ".", Rrtype: dns.TypeSOA, Class: dns.ClassINET}, Ns: zone + ".", Mbox: zone + "."}}
		_ = w.WriteMsg(answer)
	})}
	go func() { _ = server.ActivateAndServe() }()
	DeferCleanup(server.Shutdown)
	return conn.LocalAddr().String()
}

// talkativeTLS is an HTTPS server whose certificate nobody trusts.
func talkativeTLS(subject, issuer, name string) *httptest.Server {
	GinkgoHelper()
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.TLS = &tls.Config{Certificates: []tls.Certificate{issued(name+".example", subject, issuer)}}
	server.StartTLS()
	DeferCleanup(server.Close)
	return server
}

// issued is a certificate for this name, with the names of its subject and its issuer.
func issued(name, subject, issuer string) tls.Certificate {
	GinkgoHelper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	Expect(err).NotTo(HaveOccurred())
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: subject, Organization: []string{subject}}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	parent := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: issuer}, IsCA: true}
	raw, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), key)
	Expect(err).NotTo(HaveOccurred())
	return tls.Certificate{Certificate: [][]byte{raw}, PrivateKey: key}
}

// postbox keeps what is posted to it.
type postbox struct {
	*httptest.Server
	mu   sync.Mutex
	text bytes.Buffer
}

func newPostbox() *postbox {
	box := &postbox{}
	box.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, request *http.Request) {
		box.mu.Lock()
		defer box.mu.Unlock()
		_, _ = io.Copy(&box.text, request.Body)
	}))
	DeferCleanup(box.Close)
	return box
}

func (b *postbox) read() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// talkative are an ExternalService and what it refers to, and the reasons that its
// endpoints come to have, in the order of the spec.
type talkative struct {
	object  *farpointv1.ExternalService
	secrets []*corev1.Secret
	reasons []string
}

// protocols has an endpoint for each protocol, whose servers say words.
func protocols(namespace string, planted words) talkative {
	word := planted.plant
	redirecting := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", "http://169.254.169.254/"+word("redirect"))
		w.WriteHeader(http.StatusFound)
	}))
	DeferCleanup(redirecting.Close)
	http503 := talker(true, fmt.Sprintf("HTTP/1.1 503 %s\r\nServer: %s\r\nSet-Cookie: id=%s\r\nContent-Length: 24\r\n\r\n%s", word("HTTP status line"), word("HTTP header"), word("HTTP cookie"), word("HTTP body of an error")))
	body := word("HTTP body")
	postgres := "SFATAL\x00C08P01\x00M" + word("PostgreSQL error") + "\x00\x00"
	mysql := "\xff\x10\x04#08004" + word("MySQL error") // 1040
	endpoints := []struct{ url, reason string }{
		{"http://" + http503 + "/?key=" + word("query string"), "UnexpectedStatus"},
		{"http://" + talker(true, fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)), "UnexpectedContent"},
		{"http://" + talker(true, word("HTTP garbage")+"\r\n\r\n"), "ProtocolError"},
		{redirecting.URL, "RedirectFailed"},
		{"tcp://" + talker(false, word("TCP banner")+"\r\n"), "UnexpectedContent"},
		{"postgres://probe@" + talker(true, "E"+string(binary.BigEndian.AppendUint32(nil, uint32(len(postgres)+4)))+postgres) + "/app", "ServerError"},
		{"mysql://" + talker(false, string([]byte{byte(len(mysql)), 0, 0, 0})+mysql), "TooManyConnections"},
		{"redis://" + talker(true, "-ERR "+word("Redis error")+"\r\n"), "AuthenticationFailed"},
		{"grpc://" + talkativeGRPC(word("gRPC message"), word("gRPC trailer")), "UnexpectedStatus"},
		{"dns://" + talkativeDNS(word("DNS zone")) + "/www.example.com", "NameNotFound"},
	}
	result := talkative{object: externalService(namespace, "protocols")}
	for i, endpoint := range endpoints {
		result.object.Spec.Endpoints = append(result.object.Spec.Endpoints, farpointv1.Endpoint{
			Address: fmt.Sprintf("192.0.2.%d", 10+i), Port: new(int32(8080)), HealthCheckURL: farpointv1.HealthCheckURL(endpoint.url),
		})
		result.reasons = append(result.reasons, endpoint.reason)
	}
	check := &result.object.Spec.HealthCheck
	check.HTTP = &farpointv1.HTTPHealthCheck{ExpectedBody: "^fine$", FollowRedirects: true, Headers: []farpointv1.HTTPHeader{{Name: "X-Key", Value: word("request header")}}}
	check.TCP = &farpointv1.TCPHealthCheck{Steps: []farpointv1.ProbeStep{{Expect: "fine"}}}
	check.Postgres = &farpointv1.PostgresHealthCheck{SSLMode: "Disable"}
	check.CredentialsSecretRef, check.SendCredentialsToUnverifiedServers = &farpointv1.SecretReference{Name: "password"}, true
	result.secrets = []*corev1.Secret{login(namespace, "password", map[string]string{"username": "probe", "password": word("password")})}
	return result
}

func login(namespace, name string, data map[string]string) *corev1.Secret {
	secret := loginSecret(namespace, corev1.SecretTypeOpaque, data)
	secret.Name = name
	return secret
}

// withoutCertificates are the reasons of an endpoint that is probed over TLS, which cannot be done: the
// object's conditions say why.
var withoutCertificates = []string{"CertificatesUnavailable"}

// talkativeCertificates are those of an endpoint, and those that a spec refers to.
func talkativeCertificates(namespace string, planted words) []talkative {
	word := planted.plant
	server := talkativeTLS(word("certificate's subject"), word("certificate's issuer"), word("certificate's name"))
	address := server.Listener.Addr().String()
	shown := talkative{
		object:  externalService(namespace, "shown", farpointv1.HealthCheckURL("https://"+address), farpointv1.HealthCheckURL("tls://"+address)),
		reasons: []string{"CertificateInvalid", "CertificateInvalid"},
	}
	refused := newBackend()
	refused.status.Store(http.StatusForbidden)
	bearer := talkative{object: externalService(namespace, "bearer", refused.url()), reasons: []string{"UnexpectedStatus"}}
	bearer.object.Spec.HealthCheck.CredentialsSecretRef = &farpointv1.SecretReference{Name: "bearer"}
	bearer.object.Spec.HealthCheck.SendCredentialsToUnverifiedServers = true
	bearer.secrets = []*corev1.Secret{login(namespace, "bearer", map[string]string{"token": word("bearer token")})}
	broken := talkative{object: externalService(namespace, "broken", newTLSBackend().url()), reasons: withoutCertificates}
	broken.object.Spec.HealthCheck.TLS = &farpointv1.TLSHealthCheck{ClientCertificateSecretRef: &farpointv1.SecretReference{Name: "client"}}
	broken.secrets = []*corev1.Secret{login(namespace, "client", map[string]string{"tls.crt": word("client certificate"), "tls.key": "-----BEGIN PRIVATE KEY-----\n" + word("client key") + "\n-----END PRIVATE KEY-----\n"})}
	authority := talkative{object: externalService(namespace, "authority", newTLSBackend().url()), reasons: withoutCertificates}
	authority.object.Spec.HealthCheck.TLS = &farpointv1.TLSHealthCheck{CASecretRef: &farpointv1.KeyReference{Name: "ca"}}
	authority.secrets = []*corev1.Secret{login(namespace, "ca", map[string]string{"ca.crt": word("CA bundle")})}
	return []talkative{shown, bearer, broken, authority}
}

var _ = Describe("what endpoints and Secrets say", func() {
	It("is repeated nowhere: not in statuses, Events, slices, logs, metrics or alerts", func(ctx SpecContext) {
		alerts, hooks, metrics, heard := newPostbox(), newPostbox(), freeAddress(), len(logged.Contents())
		namespace, planted := newNamespace(ctx), words{}
		failing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusInternalServerError)
			_, _ = io.WriteString(w, planted["receiver's answer"])
		}))
		DeferCleanup(failing.Close)
		planted.plant("receiver's answer")
		startOperator(adminConfig, func(options *controllers.Options) {
			options.MetricsBindAddress, options.PerEndpointMetrics = metrics, true
			options.AlertmanagerURLs = []string{alerts.URL}
			options.WebhookURLs = []string{
				hooks.URL,
				failing.URL + "/" + planted.plant("webhook's path") + "?key=" + planted.plant("webhook's query"),
				"http://" + freeAddress() + "/" + planted.plant("path of a webhook that is away"),
			}
		})
		all := append(talkativeCertificates(namespace, planted), protocols(namespace, planted))
		down := 0
		for _, source := range all {
			for _, secret := range source.secrets {
				create(ctx, secret)
			}
			create(ctx, service(namespace, source.object.Name), source.object)
			if !slices.Equal(source.reasons, withoutCertificates) {
				down += len(source.reasons)
			}
		}
		userInfo := externalService(namespace, "userinfo", farpointv1.HealthCheckURL("http://"+planted.plant("user")+":"+planted.plant("password in a URL")+"@192.0.2.1/"))
		Expect(k8s.Create(ctx, userInfo)).NotTo(Succeed(), "nothing that is stored has a password in it")

		By("waiting until all of it was received, and reported")
		for _, source := range all {
			Eventually(reasonsOf(ctx, source.object)).Should(Equal(source.reasons), source.object.Name)
		}
		for _, name := range []string{"broken", "authority"} {
			Eventually(condition(ctx, externalService(namespace, name), farpointv1.ReadyCondition)).Should(Equal("False CertificatesUnavailable"))
		}
		Eventually(func() int { return strings.Count(alerts.read(), "FarpointEndpointDown") }).Should(BeNumerically(">=", down))
		Eventually(func() int { return strings.Count(hooks.read(), "dev.farpoint.endpoint.down") }).Should(BeNumerically(">=", down))
		Eventually(func() int { return strings.Count(string(logged.Contents()[heard:]), "Could not deliver alerts") }).Should(Equal(2))
		outputs := map[string]string{
			"alerts": alerts.read(), "webhooks": hooks.read(), "log": informed(string(logged.Contents()[heard:])),
			"metrics": scrape(ctx, metrics, newToken(ctx, namespace, "reader", admin)),
			"events":  everything(ctx, namespace, &eventsv1.EventList{}),
			"slices":  everything(ctx, namespace, &discoveryv1.EndpointSliceList{}),
		}
		for _, source := range all {
			text, err := json.Marshal(now(ctx, source.object).Status)
			Expect(err).NotTo(HaveOccurred())
			outputs["status of "+source.object.Name] = string(text)
		}
		Expect(outputs["metrics"]).To(ContainSubstring(`farpoint_endpoint_up{endpoint="192.0.2.10:8080",externalservice="protocols"`))
		Expect(outputs["events"]).To(ContainSubstring("EndpointUnhealthy"))
		Expect(words{"an address": "192.0.2.10:8080"}.in(outputs["alerts"])).NotTo(BeEmpty(), "what is sent is found")
		Expect(len(planted)).To(BeNumerically(">", 20))
		for where, text := range outputs {
			Expect(text).NotTo(BeEmpty(), where)
			Expect(planted.in(text)).To(BeEmpty(), "%s:\n%s", where, text)
		}
	})
})

// admin is the ClusterRole that may do everything.
const admin = "cluster-admin"

// reasonsOf are those of the endpoints, if there are any.
func reasonsOf(ctx context.Context, object *farpointv1.ExternalService) func() []string {
	return func() []string {
		var reasons []string
		for _, endpoint := range now(ctx, object).Status.Endpoints {
			reasons = append(reasons, endpoint.Reason)
		}
		return reasons
	}
}

// informed leaves out what is logged for debugging only.
func informed(log string) string {
	var kept []string
	for line := range strings.Lines(log) {
		if !strings.Contains(line, "\tDEBUG\t") {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, "")
}

// everything is all of a kind in a namespace, as JSON.
func everything(ctx context.Context, namespace string, list client.ObjectList) string {
	GinkgoHelper()
	Expect(k8s.List(ctx, list, client.InNamespace(namespace))).To(Succeed())
	text, err := json.Marshal(list)
	Expect(err).NotTo(HaveOccurred())
	return string(text)
}
