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
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// Credentials are what probes log in with. Each scheme takes what it has a use for.
type Credentials struct {
	// Username may be empty where the URL names the user, and where none is needed.
	Username string
	Password string
	// Token is what http, https, grpc and grpcs send instead of the other two: Authorization: Bearer.
	Token string
}

// Format implements fmt.Formatter, so that no verb and no slip prints what is in it.
func (Credentials) Format(to fmt.State, _ rune) { _, _ = io.WriteString(to, "(credentials)") }

// MarshalText implements encoding.TextMarshaler, which structured logs look for.
func (Credentials) MarshalText() ([]byte, error) { return []byte("(credentials)"), nil }

// userSchemes are those whose URLs may name a user. A password is in no URL.
var userSchemes = []string{"mysql", "postgres", "redis", "rediss"}

// headerSchemes are those whose probes say who asks in a header.
var headerSchemes = []string{"grpc", "grpcs", "http", "https"}

// TakesCredentials reports whether the probes of a URL make use of credentials.
func TakesCredentials(url string) bool {
	scheme, _, _ := strings.Cut(url, ":")
	scheme = strings.ToLower(scheme)
	return slices.Contains(headerSchemes, scheme) || slices.Contains(userSchemes, scheme)
}

// checkUserInfo returns an error, without any of it, if there is user info that may not
// be in the URL.
func checkUserInfo(u *url.URL) error {
	if u.User == nil {
		return nil
	}
	if _, hasPassword := u.User.Password(); hasPassword {
		return errors.New("healthCheckURL contains a password, which everybody who can read the object would see:" +
			" put it into a Secret and name that in healthCheck.credentialsSecretRef")
	}
	if !slices.Contains(userSchemes, u.Scheme) {
		return fmt.Errorf("healthCheckURL contains a user, which %s does not take from there:"+
			" put it into a Secret and name that in healthCheck.credentialsSecretRef", u.Scheme)
	}
	if u.User.Username() == "" {
		return errors.New("healthCheckURL has an @ without a user before it: remove it, or write the user")
	}
	return nil
}

// withCredentials are the settings of requests that also say who asks. As one of their
// headers, that goes to the place of the first request only.
func (s *HTTPSettings) withCredentials(login *Credentials) (*HTTPSettings, error) {
	if login == nil {
		return s, nil
	}
	if hasHeader(s.Headers, "Authorization") {
		return nil, errors.New("healthCheck.http.headers has Authorization, and healthCheck.credentialsSecretRef adds one: remove one of them")
	}
	value, err := login.authorization()
	if err != nil {
		return nil, err
	}
	with := *s
	with.Headers = append(slices.Clip(s.Headers), Header{Name: "Authorization", Value: value})
	return &with, nil
}

// authorization is the value of the header that says who asks.
func (c *Credentials) authorization() (string, error) {
	value := "Bearer " + c.Token
	if c.Token == "" {
		value = "Basic " + base64.StdEncoding.EncodeToString([]byte(c.Username+":"+c.Password))
	}
	switch {
	case c.Token == "" && strings.Contains(c.Username, ":"):
		return "", errors.New("healthCheck.credentialsSecretRef: the username has a colon, which ends it in HTTP: use another user")
	case !httpguts.ValidHeaderFieldValue(value):
		return "", errors.New("healthCheck.credentialsSecretRef: the token contains a line break or another control character: remove it from the Secret")
	}
	return value, nil
}
