package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// enrolling is how many agents enrol at the same time.
const enrolling = 200

// enrol enrols and registers all agents, as fast as the server allows, and returns how long that took.
func (f *fleet) enrol(ctx context.Context) (took time.Duration) {
	began := time.Now()
	next := make(chan int)
	var agents sync.WaitGroup
	for range min(enrolling, f.load.agents) {
		agents.Go(func() {
			for i := range next {
				if err := f.enrolAgent(ctx, i); err != nil {
					f.fault(i, err.Error())
				}
			}
		})
	}
	for i := range f.load.agents {
		next <- i
	}
	close(next)
	agents.Wait()
	return time.Since(began)
}

// enrolAgent enrols and registers an agent.
func (f *fleet) enrolAgent(ctx context.Context, i int) error {
	var enrolled struct{ Token string }
	body := fmt.Appendf(nil, `{"key":%q,"machine_id":%q}`, f.key, f.machineID(i))
	if err := f.call(ctx, "enrol", "/api/v1/enrol", "", body, &enrolled); err != nil {
		return err
	}
	body = fmt.Appendf(nil, `{"machine_id":%[1]q,"hostname":%[1]q}`, f.machineID(i))
	if err := f.call(ctx, "register", "/api/v1/machines", enrolled.Token, body, nil); err != nil {
		return err
	}
	f.tokens[i] = enrolled.Token
	return nil
}

// call posts a JSON text, and decodes the response into result if that is not nil. what names the request in errors.
func (f *fleet) call(ctx context.Context, what, path, token string, body []byte, result any) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, f.url+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := f.client.Do(request)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	if response.StatusCode >= http.StatusMultipleChoices {
		return fmt.Errorf("%s: %s", what, response.Status)
	}
	if result == nil {
		return nil
	}
	if err := json.Unmarshal(text, result); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// lost returns an error with the number of agents that have not enrolled or, if posted is set, whose posts were all
// refused since reset. The error also says why, with the number of agents for each reason.
func (f *fleet) lost(posted bool) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	lost, reasons := 0, make(map[string]int)
	for i, cause := range f.causes {
		if f.tokens[i] != "" && (!posted || f.posts[i] > 0) {
			continue
		}
		lost++
		if cause == "" {
			cause = "no post was acknowledged"
		}
		reasons[cause]++
	}
	if lost == 0 {
		return nil
	}
	var list []string
	for reason, n := range reasons {
		list = append(list, fmt.Sprintf("%d: %s", n, reason))
	}
	slices.Sort(list)
	return errors.New(fmt.Sprint("lost ", lost, " of ", f.load.agents, " agents; ", strings.Join(list, "; ")))
}
