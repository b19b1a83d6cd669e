package ingest

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/snapwatch/snapwatch/internal/problem"
	"github.com/snapwatch/snapwatch/snapshot"
)

// retryAfter is the Retry-After header of 5xx responses, in seconds.
const retryAfter = "2"

// Handle handles one post.
func (i *Ingest) Handle(c *gin.Context) {
	started := i.cfg.Now()
	ack, status, err := i.store(c)
	i.metrics.seconds.Observe(i.cfg.Now().Sub(started).Seconds())
	if err != nil {
		i.reject(c, err)
		return
	}
	i.metrics.requests.WithLabelValues("ok").Inc()
	c.JSON(status, ack)
}

// store reads a post, queues it and waits for its commit. It returns the acknowledgement with its HTTP status.
func (i *Ingest) store(c *gin.Context) (ack snapshot.Ack, status int, err error) {
	if err := i.cfg.Accept(); err != nil {
		return ack, 0, err
	}
	body, err := i.bodies.read(c.Writer, c.Request)
	if err != nil {
		return ack, 0, err
	}
	defer body.release()
	batch, err := decode(body)
	if err != nil {
		return ack, 0, err
	}
	if err := i.cfg.Authorize(c.Request.Context(), batch.MachineID); err != nil {
		return ack, 0, err
	}
	i.metrics.batchSnapshots.Observe(float64(len(batch.Snapshots)))
	if err := i.checkTimestamps(batch); err != nil {
		return ack, 0, err
	}
	committed, err := i.queue.add(batch)
	if err != nil {
		return ack, 0, err
	}
	status = http.StatusCreated
	if len(batch.Snapshots) == 0 { // a heartbeat
		status = http.StatusOK
	}
	timeout := time.NewTimer(i.cfg.PostTimeout)
	defer timeout.Stop()
	select {
	case <-timeout.C:
		return ack, 0, problem.New(
			http.StatusServiceUnavailable, "database_unavailable",
			"The database did not store the snapshots in time. Send the post again later.",
		)
	case result := <-committed:
		return result.Ack, status, writeProblem(result.Err)
	case <-c.Request.Context().Done():
		return ack, 0, problem.New(
			http.StatusServiceUnavailable, codeClientGone, "The client disconnected before the commit.",
		)
	}
}

// decode decodes and validates a body. It first reserves memory for the decoded form.
func decode(b *body) (*snapshot.Batch, error) {
	entries, err := snapshot.CountEntries(b.bytes)
	if err != nil {
		return nil, err
	}
	if err := b.reserve(int64(entries) * snapshot.DecodedEntryBytes); err != nil {
		return nil, err
	}
	return snapshot.DecodeBatch(b.bytes)
}

// checkTimestamps rejects snapshots too far ahead of the server's clock, which would always appear as the
// machine's newest, and those older than the horizon, which retention would delete.
func (i *Ingest) checkTimestamps(batch *snapshot.Batch) error {
	now, horizon := snapshot.TimeOf(i.cfg.Now()), i.cfg.Horizon()
	for k := range batch.Snapshots {
		ts := batch.Snapshots[k].Timestamp
		var code snapshot.Code
		var reason string
		switch {
		case ts > now.Add(snapshot.MaxClockSkew):
			code = snapshot.CodeInFuture
			reason = fmt.Sprintf(
				"%s is more than %s ahead of the server's clock, which is at %s; check the machine's clock",
				ts, snapshot.MaxClockSkew, now,
			)
		case ts < horizon:
			code = snapshot.CodeTooOld
			reason = fmt.Sprintf(
				"%s is before the start of the retention period at %s; the server's clock is at %s", ts, horizon, now,
			)
		default:
			continue
		}
		return &snapshot.ValidationError{
			Code: code, MachineID: batch.MachineID, SnapshotIndex: k, Timestamp: ts, ServerTime: now,
			Field: fmt.Sprintf("snapshots[%d].timestamp", k), Reason: reason,
		}
	}
	return nil
}

// writeProblem converts the error of a WriteResult to one for the client. A *snapshot.ValidationError is kept.
// Other errors are the server's: the client gets no details, and the log gets the error.
func writeProblem(err error) error {
	if _, ok := errors.AsType[*snapshot.ValidationError](err); ok || err == nil {
		return err
	}
	unavailable := problem.New(
		http.StatusServiceUnavailable, "database_unavailable",
		"The server could not store the snapshots. Send the post again later.",
	)
	return errors.Join(unavailable, err)
}

// reject responds with a problem and logs it.
func (i *Ingest) reject(c *gin.Context, err error) {
	p := problem.As(err)
	requestID := problem.RequestID(c.Request.Context())
	i.metrics.requests.WithLabelValues(p.Code).Inc()
	serverError := p.Status >= http.StatusInternalServerError
	if serverError {
		c.Header("Retry-After", retryAfter)
	}
	if p.Code == codeEncoding {
		c.Header("Accept-Encoding", "gzip, zstd")
	}
	if serverError && p.Code != codeClientGone {
		i.logger.Warn("could not store a post", "request_id", requestID, "code", p.Code, "err", err)
	} else {
		i.logger.Warn(
			"rejected a post",
			"request_id", requestID, "code", p.Code, "machine_id", p.MachineID, "detail", p.Detail,
		)
	}
	p.Write(c.Writer, c.Request)
	c.Abort()
}
