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
	"bytes"
	"crypto/md5"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"

	"farpoint.dev/farpoint/probes"
	"farpoint.dev/farpoint/probes/probetest"
	"farpoint.dev/farpoint/probes/transport"
)

// withheldBy is the result of a probe that a server has asked for the password in a way in
// which it does not get it.
func withheldBy(method probes.LoginMethod) probes.Result {
	return (&credentialsWithheld{method}).ProbeResult()
}

// impostor is a server at an address that somebody else had before. It asks for the
// password and keeps what it gets.
type impostor struct {
	// mu guards heard. No I/O happens under it.
	mu    sync.Mutex
	heard bytes.Buffer
}

// Write implements io.Writer.
func (i *impostor) Write(p []byte) (int, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.heard.Write(p)
}

// listening is a connection of which the impostor keeps all that it reads.
type listening struct {
	net.Conn
	impostor *impostor
}

func (l listening) Read(p []byte) (int, error) {
	n, err := l.Conn.Read(p)
	_, _ = l.impostor.Write(p[:n])
	return n, err
}

// knows fails the test if the impostor has heard any of these.
func (i *impostor) knows(t *testing.T, secrets ...string) {
	t.Helper()
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.heard.Len() == 0 {
		t.Error("the probe never got as far as talking to the impostor")
	}
	for _, secret := range secrets {
		for _, form := range []string{secret, base64.StdEncoding.EncodeToString([]byte(secret)), hex.EncodeToString([]byte(secret))} {
			if bytes.Contains(i.heard.Bytes(), []byte(form)) {
				t.Errorf("the impostor received %q", form)
			}
		}
	}
}

// disguise is how an impostor does TLS.
type disguise struct {
	name string
	// config is nil for an impostor that has no TLS.
	config *tls.Config
	// parameters are those by which probes talk to it nevertheless, by scheme.
	parameters map[string][]string
	settings   *transport.TLSSettings
}

// disguises are all ways in which a probe goes on with a server that has not proved who it
// is. No certificate of the impostor is one of our authority's for its name.
func disguises(t *testing.T) (list []disguise, ours *probetest.Authority) {
	ours = probetest.NewAuthority(t)
	selfSigned := &tls.Config{Certificates: []tls.Certificate{probetest.NewAuthority(t).Issue(t)}}
	otherName := &tls.Config{Certificates: []tls.Certificate{ours.Issue(t, probetest.ForOthers)}}
	preferred := map[string][]string{"postgres": {"", "sslMode=Prefer"}, "mysql": {"", "sslMode=Prefer"}}
	return []disguise{
		{"without TLS", nil, preferred, nil},
		{"without TLS, as asked", nil, map[string][]string{"postgres": {"sslMode=Disable"}, "mysql": {"sslMode=Disable"}}, nil},
		{"self-signed", selfSigned, preferred, nil},
		{"self-signed, unverified", selfSigned, map[string][]string{"postgres": {"sslMode=Require"}, "mysql": {"sslMode=Require"}}, nil},
		{"self-signed, insecureSkipVerify", selfSigned, map[string][]string{"postgres": {""}, "mysql": {""}}, &transport.TLSSettings{InsecureSkipVerify: true}},
		{"another's certificate, any name will do", otherName, map[string][]string{"postgres": {"sslMode=VerifyCA", "sslMode=Require"}}, &transport.TLSSettings{CABundle: ours.Bundle()}},
	}, ours
}

// TestImpostor_AsksForPassword_GetsNothing plays all that databases may ask for.
func TestImpostor_AsksForPassword_GetsNothing(t *testing.T) {
	const user, password = "probe", "correct horse battery"
	salt := "salt"
	inner := md5.Sum([]byte(password + user))
	outer := md5.Sum([]byte(hex.EncodeToString(inner[:]) + salt))
	secrets := []string{password, string(inner[:]), string(outer[:]), password[:8], password[8:]}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	publicKey := string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	list, _ := disguises(t)
	for _, as := range list {
		for _, test := range []struct {
			scheme, asks string
			play         func(conn net.Conn)
			want         probes.Result
		}{
			{"postgres", "clear text", askPostgres(authentication(3, "")), withheldBy(probes.LoginPostgresPassword)},
			{"postgres", "clear text, in a request that is too long", askPostgres(authentication(3, strings.Repeat("x", 5000))), withheldBy(probes.LoginPostgresPassword)},
			{"postgres", "MD5", askPostgres(authentication(5, salt)), withheldBy(probes.LoginPostgresMD5)},
			{"postgres", "clear text after saying that all is well", askPostgres(authentication(0, "") + authentication(3, "")), withheldBy(probes.LoginPostgresPassword)},
			{"postgres", "clear text after SCRAM", askPostgres(authentication(10, "SCRAM-SHA-256\x00\x00"), authentication(3, "")), withheldBy(probes.LoginPostgresPassword)},
			{"postgres", "SCRAM with one iteration", askPostgres(authentication(10, "SCRAM-SHA-256\x00\x00"), authentication(11, "r=x,s=QUJD,i=1")), withheldBy(probes.LoginPostgresWeakSCRAM)},
			{"mysql", "clear text", askMySQL("mysql_native_password", "\xfemysql_clear_password\x00"), withheldBy(probes.LoginMySQLClear)},
			{"mysql", "clear text from the start", askMySQL("mysql_clear_password", "\xfemysql_clear_password\x00"), withheldBy(probes.LoginMySQLClear)},
			{"mysql", "sha256", askMySQL("sha256_password", "\xfesha256_password\x00"+mysqlScramble+"\x00", "\x01"+publicKey), withheldBy(probes.LoginMySQLSHA256)},
			{"mysql", "the full exchange", askMySQL("caching_sha2_password", "\x01\x04", "\x01"+publicKey), withheldBy(probes.LoginMySQLCachingFull)},
			{"mysql", "the full exchange after a switch", askMySQL("mysql_native_password", "\xfecaching_sha2_password\x00"+mysqlScramble+"\x00", "\x01\x04", "\x01"+publicKey), withheldBy(probes.LoginMySQLCachingFull)},
			{"mysql", "for its key to be used, unasked", askMySQL("caching_sha2_password", "\x01"+publicKey), probes.FailureResult(probes.ReasonProtocol)},
		} {
			for _, parameter := range as.parameters[test.scheme] {
				t.Run(test.scheme+" "+test.asks+", "+as.name+" "+parameter, func(t *testing.T) {
					i := &impostor{}
					endpoint := probetest.Serve(t, func(conn net.Conn) { i.disguise(conn, test.scheme, as.config, test.play) })
					def := loginAt(endpoint, test.scheme+":///app "+parameter, user, password)
					def.TLS = as.settings
					prober := prepare(t, def)
					for range 2 { // the second handshake may resume the session of the first
						if got := probeOnce(t, prober, probetest.Ample); got != test.want {
							t.Errorf("got %+v, want %+v", got, test.want)
						}
					}
					i.knows(t, secrets...)
				})
			}
		}
	}
}

// disguise lets the impostor talk by TLS, as the protocol has it.
func (i *impostor) disguise(conn net.Conn, scheme string, config *tls.Config, play func(net.Conn)) {
	switch {
	case scheme == "postgres":
		var request [8]byte
		if _, err := io.ReadFull(conn, request[:]); err != nil {
			return
		}
		if isSSLRequest := request[4] == 0x04; !isSSLRequest {
			play(listening{&prefixed{conn, bytes.NewReader(request[:])}, i})
			return
		}
		if config == nil {
			_, _ = io.WriteString(conn, "N")
			break
		}
		_, _ = io.WriteString(conn, "S")
		conn = tls.Server(conn, config)
	case config != nil:
		_, _ = io.WriteString(conn, mysqlGreeting("8.4.0", "caching_sha2_password", mysqlCapable|mysqlSSL, mysqlScramble))
		if request, _ := readPacket(conn); len(request) != 32 {
			return
		}
		conn = tls.Server(conn, config)
	}
	play(listening{conn, i})
}

// prefixed reads something first.
type prefixed struct {
	net.Conn
	first io.Reader
}

func (p *prefixed) Read(b []byte) (int, error) {
	if n, err := p.first.Read(b); err == nil {
		return n, nil
	}
	return p.Conn.Read(b)
}

// askPostgres reads a startup message and asks, and asks again whenever something is
// answered.
func askPostgres(questions ...string) func(net.Conn) {
	return func(conn net.Conn) {
		buffer := make([]byte, 4096)
		for _, question := range questions {
			if _, err := conn.Read(buffer); err != nil {
				return
			}
			_, _ = io.WriteString(conn, question)
		}
		_, _ = io.Copy(io.Discard, conn)
	}
}

// askMySQL is askPostgres for MySQL. In TLS, the greeting is behind us, and the first
// packet is the login.
func askMySQL(plugin string, questions ...string) func(net.Conn) {
	return func(conn net.Conn) {
		if _, encrypted := conn.(listening).Conn.(*tls.Conn); !encrypted {
			_, _ = io.WriteString(conn, mysqlGreeting("8.4.0", plugin, mysqlCapable, mysqlScramble))
		}
		for _, question := range questions {
			content, sequence := readPacket(conn)
			if content == nil {
				return
			}
			_, _ = io.WriteString(conn, mysqlPacket(sequence+1, question))
		}
		// It lets the client in, to hear more.
		for {
			content, sequence := readPacket(conn)
			if content == nil {
				return
			}
			_, _ = io.WriteString(conn, mysqlPacket(sequence+1, "\x00\x00\x00\x02\x00\x00\x00"))
		}
	}
}

// A server that cannot show that it knows the password is not the right one.
func TestPostgresProbe_ServerDoesNotKnowPassword_IsFailure(t *testing.T) {
	welcome := authentication(0, "") + postgresMessage('Z', "I")
	for name, end := range map[string]string{
		"wrong signature": authentication(12, "v="+base64.StdEncoding.EncodeToString(make([]byte, 32))) + welcome,
		"no signature":    welcome,
	} {
		t.Run(name, func(t *testing.T) {
			endpoint := probetest.Serve(t, func(conn net.Conn) {
				buffer := make([]byte, 4096)
				_, _ = conn.Read(buffer)
				_, _ = io.WriteString(conn, authentication(10, "SCRAM-SHA-256\x00\x00"))
				n, _ := conn.Read(buffer)
				_, nonce, _ := strings.Cut(string(buffer[:n]), "r=")
				_, _ = io.WriteString(conn, authentication(11, "r="+nonce+"x,s=QUJD,i=4096"))
				_, _ = conn.Read(buffer)
				_, _ = io.WriteString(conn, end)
			})
			got := result(t, loginAt(endpoint, "postgres:///app sslMode=Disable", "probe", "hunter2"), probetest.Ample)
			if got != probes.FailureResult(probes.ReasonAuthentication) {
				t.Errorf("got %+v", got)
			}
		})
	}
}

// If the URL and the settings already show that credentials would go to any server that
// listens, the probe does not connect.
func TestRegistry_CredentialsForUnverifiedServer_AreRefused(t *testing.T) {
	password, token := &Credentials{Username: "probe", Password: "hunter2"}, &Credentials{Token: "hunter2"}
	header := &HTTPSettings{Headers: []Header{{"authorization", "Bearer hunter2"}}}
	insecure := &transport.TLSSettings{InsecureSkipVerify: true}
	for _, test := range []struct {
		url   string
		login *Credentials
		http  *HTTPSettings
		tls   *transport.TLSSettings
		// sent: the server proves who it is, or there is nothing to withhold.
		sent bool
		want string
	}{
		{url: "http:///", login: password, want: "write https://"},
		{url: "http:/// version=HTTP2", login: token, want: "write https://"},
		{url: "http:///", http: header, want: "write https://"},
		{url: "grpc:///", login: token, want: "write grpcs://"},
		{url: "grpc:/// watch=true", login: token, want: "write grpcs://"},
		{url: "redis://", login: password, want: "write rediss://"},
		{url: "redis://probe@", login: password, want: "write rediss://"},
		{url: "https:///", login: password, tls: insecure, want: "remove insecureSkipVerify from healthCheck.tls"},
		{url: "https:///", http: header, tls: insecure, want: "remove insecureSkipVerify from healthCheck.tls"},
		{url: "grpcs:///", login: token, tls: insecure, want: "remove insecureSkipVerify from healthCheck.tls"},
		{url: "rediss://", login: password, tls: insecure, want: "remove insecureSkipVerify from healthCheck.tls"},
		{url: "https:///", login: password, sent: true},
		{url: "grpcs:///", login: token, sent: true},
		{url: "rediss://", login: password, sent: true},
		{url: "http:///", sent: true},
		{url: "redis://probe@", sent: true},
		{url: "postgres:/// sslMode=Disable", login: password, sent: true}, // it depends on what the server asks for
		{url: "mysql:/// sslMode=Disable", login: password, sent: true},
	} {
		def := at(probetest.Unvisited(t), test.url)
		def.Credentials, def.HTTP, def.TLS = test.login, test.http, test.tls
		registry := NewRegistry(transport.NewDialer(loopback))
		def = withFields(t, def)
		_, err := registry.New(def)
		switch {
		case test.sent && err != nil:
			t.Errorf("%s: %v", test.url, err)
		case !test.sent && (!errors.Is(err, ErrCredentialsWithheld) || !strings.Contains(err.Error(), test.want) ||
			!strings.Contains(err.Error(), "healthCheck.sendCredentialsToUnverifiedServers") || strings.Contains(err.Error(), "hunter2")):
			t.Errorf("%s: got %v, want one with %q", test.url, err, test.want)
		}
		def.SendCredentialsToUnverifiedServers = true
		if _, err := registry.New(def); err != nil {
			t.Errorf("%s, as allowed: %v", test.url, err)
		}
	}
}

// The field is for schemes that have no other way. It opens no other door.
func TestPostgresAndMySQL_SendingAllowed_StillWithhold(t *testing.T) {
	for scheme, play := range map[string]func(net.Conn){
		"postgres": askPostgres(authentication(3, "")),
		"mysql":    askMySQL("mysql_native_password", "\xfemysql_clear_password\x00"),
	} {
		i := &impostor{}
		endpoint := probetest.Serve(t, func(conn net.Conn) { i.disguise(conn, scheme, nil, play) })
		if got := result(t, openLoginAt(endpoint, scheme+":///app", "probe", "hunter2"), probetest.Ample); got.Reason != probes.ReasonCredentialsWithheld || got.Outcome != probes.Unknown {
			t.Errorf("%s: got %+v", scheme, got)
		}
		i.knows(t, "hunter2")
	}
}

// Every way to log in has a rule, and a message that names the way and not what is secret.
func TestLoginMethods_AreComplete(t *testing.T) {
	for method := probes.LoginAuthorization; method <= probes.LoginMySQLEd25519; method++ {
		entry, ok := probes.LoginMethods[method]
		if !ok || entry.Schemes == "" || entry.Name == "" {
			t.Errorf("method %d is not in the table", method)
		}
		if !method.MaySend(true, false) {
			t.Errorf("%s is withheld from servers that have proved who they are", entry.Name)
		}
	}
	if probes.LoginMethod(200).MaySend(false, true) {
		t.Error("a method without a rule is allowed")
	}
	unverified := []string{}
	for _, entry := range probes.LoginMethods {
		if entry.Rule == probes.Sent {
			unverified = append(unverified, entry.Name)
		}
	}
	slices.Sort(unverified)
	if want := []string{"SCRAM-SHA-256", "client_ed25519", "mysql_native_password", "the fast path of caching_sha2_password"}; !slices.Equal(unverified, want) {
		t.Errorf("sent to anybody: %q", unverified)
	}
}

// Credentials go where the user sent them, and nowhere else, whatever a redirect says.
func TestHTTPProbe_RedirectFromTLS_DoesNotCarryCredentials(t *testing.T) {
	ca := probetest.NewAuthority(t)
	plaintext := newSite(t).has("/", probetest.Well)
	var seen []string
	encrypted := probetest.Serve(t, probetest.Secure(&tls.Config{Certificates: []tls.Certificate{ca.Issue(t)}}, func(conn net.Conn) {
		seen = append(seen, probetest.ReadRequest(conn))
		_, _ = io.WriteString(conn, "HTTP/1.1 302 Found\r\nLocation: http://"+plaintext.at.String()+"/\r\nContent-Length: 0\r\n\r\n")
	}))
	def := at(encrypted, "https:///")
	def.HTTP, def.TLS = &HTTPSettings{FollowRedirects: true}, &transport.TLSSettings{CABundle: ca.Bundle()}
	def.Credentials = &Credentials{Token: "s3cret"}
	for _, allowed := range []bool{false, true} {
		def.SendCredentialsToUnverifiedServers = allowed
		if got := result(t, def, probetest.Ample); got != probes.FailureResult(probes.ReasonRedirect) {
			t.Errorf("got %+v", got)
		}
	}
	if got := authorizations(seen); len(got) != 2 {
		t.Errorf("to the place that they are for: %q", got)
	}
	if got := plaintext.seen(); len(got) != 0 {
		t.Errorf("in plain: %q", got)
	}
}
