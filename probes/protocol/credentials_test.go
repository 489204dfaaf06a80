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
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"farpoint.dev/farpoint/probes"
	"farpoint.dev/farpoint/probes/probetest"
	"farpoint.dev/farpoint/probes/transport"
)

func TestCredentialsAreNeverPrinted(t *testing.T) {
	login := Credentials{Username: "s3cret-a", Password: "s3cret-b", Token: "s3cret-c"}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		for _, value := range []any{login, &login, Definition{Credentials: &login}, struct{ Login Credentials }{login}} {
			if text := fmt.Sprintf(verb, value); strings.Contains(text, "s3cret") || strings.Contains(text, "733363726574") {
				t.Errorf("%s of %T prints %s", verb, value, text)
			}
		}
	}
	text, err := json.Marshal(Definition{Credentials: &login})
	if err != nil || strings.Contains(string(text), "s3cret") {
		t.Errorf("%s, %v", text, err)
	}
}

// authorizations are the header lines of this name in the requests.
func authorizations(requests []string) []string {
	var values []string
	for _, request := range requests {
		for line := range strings.SplitSeq(request, "\r\n") {
			if value, ok := strings.CutPrefix(line, "Authorization: "); ok {
				values = append(values, value)
			}
		}
	}
	return values
}

func TestHTTPCredentials(t *testing.T) {
	for _, test := range []struct {
		name  string
		login Credentials
		want  string
	}{
		{"basic", Credentials{Username: "Aladdin", Password: "open sesame"}, "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="}, // RFC 7617, 2
		{"basic without a user", Credentials{Password: "a:b"}, "Basic OmE6Yg=="},
		{"bearer", Credentials{Token: "mF_9.B5f-4.1JqM"}, "Bearer mF_9.B5f-4.1JqM"}, // RFC 6750, 2.1
		{"both", Credentials{Username: "a", Password: "b", Token: "c"}, "Bearer c"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newSite(t).has("/", "HTTP/1.1 204 No Content\r\n\r\n")
			def := at(s.at, "http:///")
			def.Credentials, def.SendCredentialsToUnverifiedServers = &test.login, true
			if got := result(t, def, probetest.Ample); got != probes.SuccessResult() {
				t.Errorf("got %+v", got)
			}
			want := []string{test.want, test.want} // in a goroutine and by the loop
			if got := authorizations(s.seen()); !slices.Equal(got, want) {
				t.Errorf("sent %q, want %q", got, want)
			}
		})
	}
}

func TestCredentialsStayAtTheirPlace(t *testing.T) {
	const login = "Bearer s3cret"
	elsewhere := newSite(t).has("/ok", "HTTP/1.1 204 No Content\r\n\r\n")
	s := newSite(t)
	s.redirects("/", 302, "/b").redirects("/b", 307, fmt.Sprintf("http://%s/ok", elsewhere.at))
	def := at(s.at, "http:///")
	def.HTTP = &HTTPSettings{FollowRedirects: true}
	def.Credentials, def.SendCredentialsToUnverifiedServers = &Credentials{Token: "s3cret"}, true
	if got := result(t, def, probetest.Ample); got != probes.SuccessResult() {
		t.Errorf("got %+v", got)
	}
	if got := authorizations(s.seen()); len(got) != 2 || got[0] != login || got[1] != login {
		t.Errorf("to the place that it is for: %q", got)
	}
	if got := elsewhere.seen(); len(got) != 1 || strings.Contains(got[0], "s3cret") {
		t.Errorf("elsewhere: %q", got)
	}
}

func TestCredentialsRefused(t *testing.T) {
	authorization := &HTTPSettings{Headers: []Header{{"authorization", "Basic s3cret"}}}
	for _, test := range []struct {
		def  Definition
		want string
	}{
		{Definition{HTTP: authorization, Credentials: &Credentials{Password: "s3cret"}},
			"healthCheck.http.headers has Authorization, and healthCheck.credentialsSecretRef adds one: remove one of them"},
		{Definition{Credentials: &Credentials{Username: "s3:cret", Password: "s3cret"}}, "healthCheck.credentialsSecretRef: the username has a colon"},
		{Definition{Credentials: &Credentials{Token: "s3cret\n"}}, "healthCheck.credentialsSecretRef: the token contains a line break"},
	} {
		test.def.URL, test.def.Address = "https://192.0.2.10:443/", netip.MustParseAddr("192.0.2.10")
		_, err := NewRegistry(transport.NewDialer(loopback)).New(test.def)
		if err == nil || !strings.HasPrefix(err.Error(), test.want) || strings.Contains(err.Error(), "s3") {
			t.Errorf("got %v, want %s...", err, test.want)
		}
	}
}

func TestTakesCredentials(t *testing.T) {
	for url, want := range map[string]bool{
		"http:///": true, "HTTPS:///": true, "postgres://": true, "mysql://u@:1/d": true, "redis://": true, "rediss://": true,
		"tcp://": false, "tcp://http:80": false, "": false, "://": false,
	} {
		if TakesCredentials(url) != want {
			t.Errorf("%q: got %v", url, !want)
		}
	}
}
