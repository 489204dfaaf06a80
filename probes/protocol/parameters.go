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
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"
)

// parameters are the part of a probe URL after its question mark, in the schemes whose query is
// for the prober. That of http and https is the endpoint's, except a few.
type parameters map[string]string

// parametersOf reads the query of a URL, of which the scheme knows these parameters. Its
// errors, like those of the parameters' values, name parameters and repeat no value.
func parametersOf(u *url.URL, known ...string) (parameters, error) {
	values, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return nil, errors.New("healthCheckURL has an invalid query: write it as ?name=value&name=value," +
			" with %25 for a percent sign and %3B for a semicolon")
	}
	read := make(parameters, len(values))
	for _, name := range slices.Sorted(maps.Keys(values)) { // the same URL always has the same error
		switch {
		case !slices.Contains(known, name) && len(known) == 0:
			return nil, fmt.Errorf("healthCheckURL has the parameter %q, and %s takes no parameters: remove it", name, u.Scheme)
		case !slices.Contains(known, name):
			return nil, fmt.Errorf("healthCheckURL has the unknown parameter %q: %s takes %s", name, u.Scheme, strings.Join(known, ", "))
		case len(values[name]) > 1:
			return nil, fmt.Errorf("healthCheckURL has the parameter %s twice: remove one of them", name)
		}
		read[name] = values[name][0]
	}
	return read, nil
}

// takeParameters takes out of the query of a URL the parameters with these names, and leaves
// the rest as it is, which is the endpoint's. Only what is written exactly like that is
// taken: with a letter percent-encoded, the endpoint gets a parameter of the same name.
func takeParameters(u *url.URL, names ...string) (parameters, *url.URL, error) {
	claimed := parameters{}
	var left []string
	for pair := range strings.SplitSeq(u.RawQuery, "&") {
		name, value, _ := strings.Cut(pair, "=")
		if !slices.Contains(names, name) {
			left = append(left, pair)
			continue
		}
		if _, twice := claimed[name]; twice {
			return nil, nil, fmt.Errorf("healthCheckURL has the parameter %s twice: remove one of them", name)
		}
		claimed[name] = value
	}
	if len(claimed) == 0 {
		return claimed, u, nil
	}
	rest := *u
	rest.RawQuery, rest.ForceQuery = strings.Join(left, "&"), false
	return claimed, &rest, nil
}

// flag is a parameter that is true or false; false if it is left out.
func (p parameters) flag(name string) (bool, error) {
	value, err := p.oneOf(name, "true", "false")
	return value == "true", err
}

// oneOf is a parameter that has one of these values; empty if it is left out.
func (p parameters) oneOf(name string, words ...string) (string, error) {
	value, ok := p[name]
	if ok && !slices.Contains(words, value) {
		return "", fmt.Errorf("healthCheckURL has an unknown value of %s: write one of %s", name, strings.Join(words, ", "))
	}
	return value, nil
}

// maxParameterDuration is the longest time that a parameter can ask for.
const maxParameterDuration = 100 * 365 * 24 * time.Hour

// duration is a parameter that is a time, such as 30s or 168h; 0 if it is left out.
func (p parameters) duration(name string) (time.Duration, error) {
	text, ok := p[name]
	if !ok {
		return 0, nil
	}
	value, err := time.ParseDuration(text)
	if err != nil || value <= 0 || value > maxParameterDuration {
		return 0, fmt.Errorf("healthCheckURL has a %s that is not a duration: write one such as 30s, 15m or 168h", name)
	}
	return value, nil
}

// endsAfterPort returns an error if the URL has a path or a fragment, for schemes that
// have no use for them.
func endsAfterPort(u *url.URL) error {
	if u.Path != "" || u.Fragment != "" {
		return fmt.Errorf("%s URLs take no path or fragment: remove everything after the port", u.Scheme)
	}
	return nil
}
