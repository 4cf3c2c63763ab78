package api

import (
	"context"
	"errors"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/needle-search/needle/api/internal/wire"
	"github.com/needle-search/needle/pipeline"
)

// A kind is what all problems of one code have in common.
type kind struct {
	status int
	title  string
	// advice says what to do. Where open is set it follows the message of the
	// error; elsewhere it stands alone and the message is logged only.
	advice string
	open   bool
	// retryAfter is in seconds; 0 gives no such header.
	retryAfter string
}

// statusClientGone is logged for requests whose client left; nobody sees it.
const statusClientGone = 499

// kindOf is the one place where errors become status codes.
func kindOf(code string) kind {
	switch code {
	case wire.CodeInvalidBody:
		return kind{status: 400, title: "The body cannot be used", open: true}
	case wire.CodeInvalidParameter:
		return kind{status: 400, title: "A parameter cannot be used", open: true}
	case wire.CodeUnsupportedMediaType:
		return kind{status: 415, title: "The body has the wrong type", open: true}
	case wire.CodeBodyTooLarge:
		return kind{status: 413, title: "The body is too large", open: true}
	case wire.CodeBodyTimeout:
		return kind{status: 408, title: "The body did not arrive in time", advice: "Send it again over a faster connection, or in smaller parts."}
	case wire.CodeNotFound:
		return kind{status: 404, title: "There is nothing at this path", advice: "GET /openapi.json lists the paths.", open: true}
	case wire.CodeMethodNotAllowed:
		return kind{status: 405, title: "The method is not allowed here", open: true}
	case wire.CodeHostNotAllowed:
		return kind{status: 403, title: "The host name is not allowed", open: true}
	case wire.CodeCrossOrigin:
		return kind{status: 403, title: "Requests from other sites are not allowed", advice: "Call the API from a program or from a page that this server serves."}
	case wire.CodeNotReady:
		return kind{status: 503, title: "Not ready", open: true, retryAfter: "1"}
	case wire.CodeCancelled:
		return kind{status: statusClientGone, title: "The request was cancelled", advice: "Send it again."}

	case wire.CodeUnauthenticated:
		return kind{status: 401, title: "A valid key is needed", advice: "Send Authorization: Bearer KEY. `needle keys create` makes one on the server's machine."}
	case wire.CodeForbidden:
		return kind{status: 403, title: "The key does not allow this", advice: "Ask the administrator of the server for a key that does.", open: true}
	case wire.CodeRateLimited:
		return kind{status: 429, title: "The key is used too often", advice: "Send it again after the seconds that Retry-After names.", open: true}
	case wire.CodeInvalidRecord:
		return kind{status: 400, title: "The entry cannot be stored", open: true}
	case wire.CodeFeedbackNotFound:
		return kind{status: 404, title: "There is no such feedback", advice: "GET /v1/feedback lists what there is.", open: true}
	case wire.CodeKeyNotFound:
		return kind{status: 404, title: "There is no such key", advice: "GET /v1/keys lists them."}
	case wire.CodePreconditionFailed:
		return kind{status: 412, title: "The document has changed", advice: "Read it again, and send the change with its new ETag.", open: true}
	case wire.CodeIdempotencyKeyReused:
		return kind{status: 422, title: "The Idempotency-Key was used for another request", advice: "Make a new key for every new request, and send the same request when you repeat one."}
	case wire.CodeIdempotencyInFlight:
		return kind{status: 409, title: "The first request with this Idempotency-Key is still running", advice: "Wait for its answer, or send it again after the seconds that Retry-After names.", retryAfter: "1"}
	case wire.CodeNoStore:
		return kind{status: 503, title: "The server keeps no keys and no feedback", advice: "It was started without a store."}
	case wire.CodeAuthUnavailable:
		return kind{status: 503, title: "Tokens cannot be checked now", advice: "The OpenID provider does not answer. Send it again later, or use an API key.", retryAfter: "10"}
	case wire.CodeStoreUnavailable:
		return kind{status: 503, title: "The store of keys cannot be used", advice: "Send it again later. The server's log has the cause under the request id.", retryAfter: "2"}

	case wire.CodeEmptyQuestion:
		return kind{status: 400, title: "The question is empty", open: true}
	case wire.CodeQuestionTooLong:
		return kind{status: 400, title: "The question is too long", open: true}
	case wire.CodeInvalidText:
		return kind{status: 400, title: "The text is not valid", open: true}
	case wire.CodeInvalidRequest:
		return kind{status: 400, title: "An option is not valid", open: true}
	case wire.CodeInvalidFilter:
		return kind{status: 400, title: "The filter is not valid", advice: "GET /v1/indexes/{index} lists the fields and their types.", open: true}
	case wire.CodeInvalidFacet:
		return kind{status: 400, title: "A facet is not valid", advice: "GET /v1/indexes/{index} lists the fields and their types.", open: true}
	case wire.CodeInvalidQuery:
		return kind{status: 400, title: "The query is not valid", open: true}
	case wire.CodeInvalidDocument:
		return kind{status: 400, title: "The document cannot be stored", open: true}
	case wire.CodeInvalidIndexName:
		return kind{status: 400, title: "The index name is not valid", open: true}
	case wire.CodeFieldConflict:
		return kind{status: 409, title: "A metadata field has another type", advice: "GET /v1/indexes/{index} lists the fields and their types.", open: true}
	case wire.CodeIndexExists:
		return kind{status: 409, title: "The index exists already", open: true}
	case wire.CodeIndexNotFound:
		return kind{status: 404, title: "There is no such index", advice: "GET /v1/indexes lists them; PUT /v1/indexes/{index} makes one, and so does the first document.", open: true}
	case wire.CodeDocumentNotFound:
		return kind{status: 404, title: "There is no such document", advice: "GET /v1/indexes/{index}/documents lists them.", open: true}

	case wire.CodeOverloaded:
		return kind{status: 503, title: "Too many requests", advice: "Send it again after the seconds that Retry-After names.", retryAfter: "1"}
	case wire.CodeNoSpace:
		return kind{status: 507, title: "The disk is full", advice: "Nothing that was stored is lost. Make room on the server's disk and send it again."}
	case wire.CodeRuntimeMissing:
		return kind{status: 503, title: "ONNX Runtime was not found", advice: "Run `needle setup` on the server's machine and start the server again. Search works without it."}
	case wire.CodeNoReader:
		return kind{status: 503, title: "The server has no reader", advice: "Start the server with a reader, or use POST /v1/search."}
	case wire.CodeDeadlineExceeded:
		return kind{status: 504, title: "The request took too long", advice: "Send budget_ms to get the best answers within a time, or raise limits.timeout."}
	case wire.CodeIndexDamaged:
		return kind{status: 500, title: "The index is damaged", advice: "Run `needle index verify` on the server's machine; it says what is damaged. Restore a backup or index the documents again."}
	case wire.CodeIndexNewerVersion:
		return kind{status: 500, title: "The index was written by a newer version", advice: "Run at least that version of Needle."}
	case wire.CodeIndexReadOnly:
		return kind{status: 409, title: "The index is read-only", advice: "It belongs to others, who write to it; see docs/elasticsearch.md."}
	case wire.CodeInvalidBackup:
		return kind{status: 400, title: "The backup cannot be used", advice: "What was there before is untouched.", open: true}
	case wire.CodeRebuilding:
		return kind{status: 409, title: "The index is being rebuilt", advice: "Wait until it is through: GET /v1/indexes/{index}/rebuild tells how far it is."}
	case wire.CodeIndexLocked:
		return kind{status: 503, title: "The index is in use by another process", advice: "End the other process that uses the data directory.", retryAfter: "5"}
	case wire.CodeIndexUnavailable:
		return kind{status: 503, title: "The index server is not available", advice: "Needle tried several times. See whether Elasticsearch runs, and send it again.", retryAfter: "5"}
	case wire.CodeModelRefused:
		return kind{status: 409, title: "The model was not exchanged", advice: "The one that was there goes on answering.", open: true}
	case wire.CodeInvalidBundle:
		return kind{status: 500, title: "The model bundle is not valid", advice: "Run `needle doctor` on the server's machine."}
	case wire.CodeClosed:
		return kind{status: 503, title: "The server is shutting down", advice: "Send it again when it is back.", retryAfter: "5"}
	}
	return kind{status: 500, title: "The server failed", advice: "It is not the fault of the request. The server's log has the cause under the request id."}
}

// A problemError is a fault that the server itself found. The detail is shown.
type problemError struct {
	code   string
	detail string
}

func (e problemError) Error() string {
	if e.detail == "" {
		return kindOf(e.code).title
	}
	return e.detail
}

// problemOf turns an error into what the client sees. Instance and request id
// are left empty.
func problemOf(err error) wire.Problem {
	var own problemError
	var refused *pipeline.DocumentError
	code, message := "", ""
	switch {
	case errors.As(err, &own):
		code, message = own.code, own.detail
	case errors.As(err, &refused):
		// The joined error of a write names every document; one is asked for.
		code, message = wire.CodeOf(refused.Err), sentence(refused.Err.Error())
	default:
		code, message = wire.CodeOf(err), sentence(err.Error())
	}
	k := kindOf(code)
	detail := k.advice
	if k.open && message != "" {
		detail = message
		if k.advice != "" {
			detail += " " + k.advice
		}
	}
	return wire.Problem{Type: "urn:needle:problem:" + code, Title: k.title, Status: k.status, Detail: detail, Code: code}
}

// sentence makes an error message readable beside others.
func sentence(message string) string {
	if message == "" {
		return ""
	}
	switch message[len(message)-1] {
	case '.', '!', '?':
		return message
	}
	return message + "."
}

// maxRetryAfter keeps a wrong estimate from sending clients away for good.
const maxRetryAfter = time.Minute

// retryAfter is what an error says of when to try again, in whole seconds, or
// else what is said of its kind.
func retryAfter(err error, standard string) string {
	var known interface{ After() time.Duration }
	if !errors.As(err, &known) {
		return standard
	}
	seconds := math.Ceil(min(known.After(), maxRetryAfter).Seconds())
	return strconv.Itoa(max(1, int(seconds)))
}

// fail answers with a problem and keeps the cause for the log line.
func (s *Server) fail(c *gin.Context, err error) {
	problem := problemOf(err)
	if problem.Code == wire.CodeCancelled {
		switch cause := context.Cause(c.Request.Context()); {
		case cause == nil:
			// Nobody cancelled this request, so something inside went wrong.
			problem = problemOf(errors.New("cancelled inside"))
		case !errors.Is(cause, context.Canceled):
			problem = problemOf(cause)
		}
	}
	c.Set(keyCode, problem.Code)
	if problem.Status >= http.StatusInternalServerError {
		c.Set(keyCause, err)
	}
	if c.Writer.Written() {
		// The answer has begun, so it can only be cut off.
		panic(http.ErrAbortHandler)
	}
	problem.Instance = c.Request.URL.EscapedPath()
	problem.RequestID = requestID(c)
	if after := kindOf(problem.Code).retryAfter; after != "" {
		c.Header("Retry-After", retryAfter(err, after))
	}
	data, err := encodeJSON(problem)
	if err != nil {
		data = []byte(`{"code":"internal","status":500}`)
	}
	s.write(c, problem.Status, "application/problem+json", data)
}
