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
	"crypto/tls"
	"crypto/x509"
	"strings"
	"testing"

	"farpoint.dev/farpoint/probes"
	"farpoint.dev/farpoint/probes/probetest"
	"farpoint.dev/farpoint/probes/transport"
	"farpoint.dev/farpoint/test/servers"
)

// certifiedPostgres is a server with a certificate of the authority, for a user with a password
// and one with a certificate.
func certifiedPostgres(t *testing.T, ca *probetest.Authority, spoil ...func(*x509.Certificate)) *servers.Postgres {
	t.Helper()
	server := servers.NewPostgres(t, "hostssl all certified 127.0.0.1/32 cert").WithTLS(inPEM(t, ca.Issue(t, spoil...)), string(ca.Bundle()))
	server.Start()
	server.Exec("CREATE ROLE probe LOGIN PASSWORD 'hunter2'; CREATE ROLE certified LOGIN")
	return server
}

func TestPostgresTLS(t *testing.T) {
	t.Parallel() // it waits for servers
	ca := probetest.NewAuthority(t)
	good, old, others := certifiedPostgres(t, ca), certifiedPostgres(t, ca, probetest.Expired), certifiedPostgres(t, ca, probetest.ForOthers)
	trusting, named := &transport.TLSSettings{CABundle: ca.Bundle()}, &transport.TLSSettings{CABundle: ca.Bundle(), ServerName: "legacy.example"}
	distrusting := &transport.TLSSettings{CABundle: probetest.NewAuthority(t).Bundle()}
	encrypted := "query=SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
	for _, test := range []struct {
		name     string
		server   *servers.Postgres
		settings *transport.TLSSettings
		query    string
		want     probes.Result
	}{
		{"by default", good, nil, encrypted, probes.SuccessResult()},
		{"by default, expired", old, nil, encrypted, probes.SuccessResult()},
		{"disabled", good, trusting, "sslMode=Disable " + encrypted, probes.FailureResult(probes.ReasonQuery)},
		{"preferred", others, nil, "sslMode=Prefer " + encrypted, probes.SuccessResult()},
		{"required", old, nil, "sslMode=Require " + encrypted, probes.SuccessResult()},
		{"required with an authority", others, trusting, "sslMode=Require " + encrypted, probes.SuccessResult()},
		{"required with another authority", good, distrusting, "sslMode=Require", probes.FailureResult(probes.ReasonCertificate)},
		{"authority", others, trusting, "sslMode=VerifyCA " + encrypted, probes.SuccessResult()},
		{"another authority", good, distrusting, "sslMode=VerifyCA", probes.FailureResult(probes.ReasonCertificate)},
		{"authority, expired", old, trusting, "sslMode=VerifyCA", probes.FailureResult(probes.ReasonCertificate)},
		{"authority of the system", good, nil, "sslMode=VerifyCA", probes.FailureResult(probes.ReasonCertificate)},
		{"verified", good, trusting, "sslMode=VerifyFull " + encrypted, probes.SuccessResult()},
		{"verified by default", good, trusting, encrypted, probes.SuccessResult()},
		{"verified by name", good, named, "sslMode=VerifyFull", probes.SuccessResult()},
		{"for others", others, trusting, "sslMode=VerifyFull", probes.FailureResult(probes.ReasonCertificate)},
		{"for others by default", others, trusting, "", probes.FailureResult(probes.ReasonCertificate)},
		{"expired", old, trusting, "sslMode=VerifyFull", probes.FailureResult(probes.ReasonCertificate)},
		{"unknown authority", good, nil, "sslMode=VerifyFull", probes.FailureResult(probes.ReasonCertificate)},
		{"anything goes", others, &transport.TLSSettings{InsecureSkipVerify: true}, encrypted, probes.SuccessResult()},
	} {
		t.Run(test.name, func(t *testing.T) {
			def := postgresAt(test.server, " "+test.query)
			def.TLS = test.settings
			prober := prepare(t, def)
			for range 2 { // the second handshake may resume what the first has begun
				if got := probeOnce(t, prober, probetest.Ample); got != test.want {
					t.Errorf("got %+v, want %+v", got, test.want)
				}
			}
			anonymous := at(test.server.Address(), "postgres:// "+strings.TrimSuffix(test.query, encrypted))
			anonymous.TLS = test.settings
			if got := result(t, anonymous, probetest.Ample); (got.Reason == probes.ReasonCertificate) != (test.want.Reason == probes.ReasonCertificate) {
				t.Errorf("without a user: got %+v", got)
			}
		})
	}
}

func TestPostgresTLS_UserWithACertificate_NeedsNoPassword(t *testing.T) {
	t.Parallel() // it waits for a server
	ca := probetest.NewAuthority(t)
	server := certifiedPostgres(t, ca)
	def := at(server.Address(), "postgres://certified@/postgres role=Primary")
	ours := ca.Issue(t, probetest.ForClients, func(c *x509.Certificate) { c.Subject.CommonName = "certified" })
	def.TLS = &transport.TLSSettings{CABundle: ca.Bundle(), ClientCertificate: &ours}
	if got := result(t, def, probetest.Ample); got != probes.SuccessResult() {
		t.Errorf("got %+v", got)
	}
	anothers := probetest.NewAuthority(t).Issue(t, probetest.ForClients)
	for _, certificate := range []*tls.Certificate{nil, &anothers} {
		def.TLS = &transport.TLSSettings{CABundle: ca.Bundle(), ClientCertificate: certificate}
		if got := result(t, def, probetest.Ample); got.Outcome != probes.Failure {
			t.Errorf("without the certificate: got %+v", got)
		}
	}
}
