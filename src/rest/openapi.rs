//! The OpenAPI document (OpenAPI 3.1): the paths in words, the bodies by the types that are read and written.

use utoipa::openapi::path::{HttpMethod, Operation, OperationBuilder, Parameter, ParameterBuilder, ParameterIn, Paths};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::schema::{Components, ComponentsBuilder, ObjectBuilder, Schema, Type};
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::{
    ContentBuilder, HeaderBuilder, InfoBuilder, LicenseBuilder, OpenApiBuilder, Ref, RefOr, Required, Response,
    ResponseBuilder, Server,
};
use utoipa::{PartialSchema, ToSchema};

use super::ChannelRequest;
use super::create::id_schema;
use super::error::{ErrorBody, ErrorDetail};
use super::{node, top, view};

/// The document of a relay that clients reach at `public_url`, as JSON.
pub fn document(public_url: &str, browser_only: bool) -> String {
    let mut paths = Paths::new();
    for entry in ENTRIES.iter().filter(|entry| browser_only || !entry.browser_only) {
        paths.add_path_operation(entry.path, vec![entry.method.clone()], entry.operation(false));
        if matches!(entry.method, HttpMethod::Get) && !entry.browser_only {
            paths.add_path_operation(entry.path, vec![HttpMethod::Head], entry.operation(true));
        }
    }
    let info = InfoBuilder::new()
        .title("ringrelay")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(DESCRIPTION))
        .license(Some(LicenseBuilder::new().name("Apache-2.0").identifier(Some("Apache-2.0")).build()));
    OpenApiBuilder::new()
        .info(info)
        .servers(Some([Server::new(public_url)]))
        .paths(paths)
        .components(Some(components()))
        // Each is a choice: no token where none is needed, or one of the ways to send it.
        .security(Some([
            SecurityRequirement::default(),
            SecurityRequirement::new("bearer", [""; 0]),
            SecurityRequirement::new("query", [""; 0]),
        ]))
        .build()
        .to_json()
        .expect("strings and numbers under names can always be written")
}

const DESCRIPTION: &str = "A WebSocket relay: clients create channels over REST, connect to them and exchange messages. \
    Every path under `/channels` is there under `/channel` too. Where the operator has set an API token, it is sent as \
    `Authorization: Bearer …` (or `Authentification: Bearer …`), as the parameter `auth`, or as the field `auth` of a JSON \
    body. Every resource answers `OPTIONS`, and other methods than those described with 405.";

/// One method of one path.
struct Entry {
    method: HttpMethod,
    path: &'static str,
    id: &'static str,
    summary: &'static str,
    /// The good answer.
    status: u16,
    answer: Answer,
    /// The statuses of its own errors, beside those of every request.
    errors: &'static [u16],
    /// There in browser-only mode alone.
    browser_only: bool,
}

enum Answer {
    /// Without content.
    Nothing,
    Html,
    /// The OpenAPI document.
    Document,
    /// The text of the metrics.
    Metrics,
    /// The name of the schema.
    Json(fn() -> String),
}

const fn get(path: &'static str, id: &'static str, summary: &'static str, answer: Answer) -> Entry {
    Entry { method: HttpMethod::Get, path, id, summary, status: 200, answer, errors: &[], browser_only: false }
}

const fn delete(path: &'static str, id: &'static str, summary: &'static str, errors: &'static [u16]) -> Entry {
    let answer = Answer::Json(name::<view::Done>);
    Entry { method: HttpMethod::Delete, path, id, summary, status: 200, answer, errors, browser_only: false }
}

const ENTRIES: &[Entry] = &[
    get("/channels", "listChannels", "All channels", Answer::Json(name::<view::List<'_>>)),
    Entry {
        method: HttpMethod::Post,
        status: 201,
        errors: &[403, 409, 411, 415, 422],
        ..get("/channels", "createChannel", "Creates a channel", Answer::Json(name::<view::Created<'_>>))
    },
    Entry {
        errors: &[404],
        ..get("/channels/{id}", "readChannel", "One channel", Answer::Json(name::<view::One<'_>>))
    },
    delete("/channels/{id}", "deleteChannel", "Deletes a channel and closes its clients with 4404", &[403, 404]),
    Entry {
        status: 101,
        errors: &[403, 404, 426],
        ..get("/channels/{id}/connect", "connect", "Upgrades to a WebSocket of the channel (RFC 6455)", Answer::Nothing)
    },
    Entry {
        status: 201,
        errors: &[403, 409, 422],
        browser_only: true,
        ..get("/channels/create", "createByQuery", "Creates a channel", Answer::Json(name::<view::Created<'_>>))
    },
    Entry {
        errors: &[403, 404],
        browser_only: true,
        ..get("/channels/{id}/delete", "deleteByGet", "Deletes a channel", Answer::Json(name::<view::Done>))
    },
    delete("/reset", "reset", "Deletes every channel and closes all clients with 4404", &[403]),
    get("/cluster", "readCluster", "This node's view of the cluster", Answer::Json(name::<node::Cluster<'_>>)),
    get("/healthz", "health", "Says that the relay lives", Answer::Json(name::<node::Health>)),
    get("/readyz", "readiness", "Says whether the relay takes requests", Answer::Json(name::<node::Readiness<'_>>)),
    get(
        "/metrics",
        "metrics",
        "What the relay counts, as text for Prometheus, or as OpenMetrics where that is accepted",
        Answer::Metrics,
    ),
    Entry {
        errors: &[403],
        ..get(
            "/admin/top",
            "top",
            "Who is busy, slow and refused, for the operator",
            Answer::Json(name::<top::Top<'_>>),
        )
    },
    get("/openapi.json", "readOpenApi", "This document", Answer::Document),
    get("/", "landingPage", "What this is, for people", Answer::Html),
    get("/readme", "guidePage", "The API guide", Answer::Html),
    get("/client", "clientPage", "A test client", Answer::Html),
    get("/docs", "docsPage", "This document, rendered", Answer::Html),
];

impl Entry {
    fn operation(&self, to_head: bool) -> Operation {
        let mut operation = OperationBuilder::new().tag(self.tag());
        operation = if to_head {
            let summary = format!("{}: the answer's head", self.summary);
            operation.operation_id(Some(format!("{}Head", self.id))).summary(Some(summary))
        } else {
            operation.operation_id(Some(self.id)).summary(Some(self.summary))
        };
        for parameter in self.parameters() {
            operation = operation.parameter(parameter);
        }
        if matches!(self.method, HttpMethod::Post) {
            let body = ContentBuilder::new().schema(Some(Ref::from_schema_name(ChannelRequest::name()))).build();
            let body = RequestBodyBuilder::new().content("application/json", body).required(Some(Required::True));
            operation = operation.request_body(Some(body.build()));
        }
        // A WebSocket is opened by GET alone.
        if !(to_head && self.status == 101) {
            operation = operation.response(self.status.to_string(), self.good_answer(to_head));
        }
        for (status, codes) in ERRORS {
            if COMMON_ERRORS.contains(status) || self.errors.contains(status) {
                operation = operation.response(status.to_string(), self.refusal(*status, codes, to_head));
            }
        }
        operation.build()
    }

    fn tag(&self) -> &'static str {
        match self.answer {
            Answer::Html => "Pages",
            Answer::Document | Answer::Metrics => "The relay",
            Answer::Nothing | Answer::Json(_) if self.path.starts_with("/channels") => "Channels",
            Answer::Nothing | Answer::Json(_) => "The relay",
        }
    }

    fn parameters(&self) -> Vec<Parameter> {
        let mut parameters = Vec::new();
        if self.path.contains("{id}") {
            let id = ParameterBuilder::new().name("id").parameter_in(ParameterIn::Path).required(Required::True);
            parameters.push(id.schema(Some(id_schema())).description(Some("The channel's id.")).build());
        }
        if self.status == 101 {
            let schema = ObjectBuilder::new().schema_type(Type::String);
            let token = ParameterBuilder::new().name("token").parameter_in(ParameterIn::Query).required(Required::True);
            parameters.push(
                token
                    .schema(Some(schema))
                    .description(Some("The channel's token, or a JSON Web Token for it."))
                    .build(),
            );
        }
        if self.browser_only && self.status == 201 {
            parameters.extend(query_parameters());
        }
        parameters
    }

    fn good_answer(&self, to_head: bool) -> Response {
        let mut response = ResponseBuilder::new().description(self.summary);
        if self.status == 201 {
            let location = ObjectBuilder::new().schema_type(Type::String).pattern(Some("^/channels/[A-Za-z0-9_-]+$"));
            let location = HeaderBuilder::new().schema(Some(location)).description(Some("The path of the channel."));
            response = response.header("Location", location.build());
        }
        let (media_type, schema): (_, RefOr<Schema>) = match &self.answer {
            Answer::Nothing => return response.build(),
            Answer::Html => ("text/html", ObjectBuilder::new().schema_type(Type::String).into()),
            Answer::Metrics => ("text/plain", ObjectBuilder::new().schema_type(Type::String).into()),
            Answer::Document => ("application/json", ObjectBuilder::new().schema_type(Type::Object).into()),
            Answer::Json(name) => ("application/json", Ref::from_schema_name(name()).into()),
        };
        if !to_head {
            if matches!(self.answer, Answer::Metrics) {
                let content = ContentBuilder::new().schema(Some(schema.clone())).build();
                response = response.content("application/openmetrics-text", content);
            }
            response = response.content(media_type, ContentBuilder::new().schema(Some(schema)).build());
        }
        response.build()
    }

    fn refusal(&self, status: u16, codes: &[&str], to_head: bool) -> Response {
        let codes: Vec<String> = codes.iter().map(|code| format!("`{code}`")).collect();
        let mut response = ResponseBuilder::new().description(format!("Refused: {}", codes.join(", ")));
        if status == 405 {
            let allow = ObjectBuilder::new().schema_type(Type::String);
            response = response.header("Allow", HeaderBuilder::new().schema(Some(allow)).build());
        }
        if matches!(status, 429 | 503) {
            let seconds = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1));
            let seconds = HeaderBuilder::new().schema(Some(seconds)).description(Some("In seconds."));
            response = response.header("Retry-After", seconds.build());
        }
        if !to_head {
            // Who asks whether the relay is ready is answered in one form, whatever the answer is.
            let schema = if self.path == "/readyz" && status == 503 {
                name::<node::Readiness<'_>>()
            } else {
                name::<ErrorBody<'_>>()
            };
            let content = ContentBuilder::new().schema(Some(Ref::from_schema_name(schema))).build();
            response = response.content("application/json", content);
        }
        response.build()
    }
}

/// The fields of a channel, as parameters.
fn query_parameters() -> Vec<Parameter> {
    let RefOr::T(Schema::Object(fields)) = ChannelRequest::schema() else {
        unreachable!("it is an object");
    };
    let fields = fields.properties.into_iter().filter(|(name, _)| name != "auth");
    fields
        .map(|(name, schema)| {
            let required = if name == "pattern" { Required::True } else { Required::False };
            ParameterBuilder::new()
                .name(name)
                .parameter_in(ParameterIn::Query)
                .required(required)
                .schema(Some(schema))
                .build()
        })
        .collect()
}

fn components() -> Components {
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some("The API token.")).build();
    let query = ApiKeyValue::with_description("auth", "The API token.");
    ComponentsBuilder::new()
        .schema_from::<ChannelRequest>()
        .schema_from::<view::Data<'_>>()
        .schema_from::<view::Created<'_>>()
        .schema_from::<view::One<'_>>()
        .schema_from::<view::List<'_>>()
        .schema_from::<view::Done>()
        .schema_from::<node::Health>()
        .schema_from::<node::Readiness<'_>>()
        .schema_from::<node::Node<'_>>()
        .schema_from::<node::ClusterView<'_>>()
        .schema_from::<node::Cluster<'_>>()
        .schema_from::<top::Top<'_>>()
        .schema_from::<top::TopData<'_>>()
        .schema_from::<top::TopShard>()
        .schema_from::<top::TopChannel<'_>>()
        .schema_from::<top::TopClient<'_>>()
        .schema_from::<top::TopRefusal>()
        .schema_from::<ErrorDetail<'_>>()
        .schema_from::<ErrorBody<'_>>()
        .security_scheme("bearer", SecurityScheme::Http(bearer))
        .security_scheme("query", SecurityScheme::ApiKey(ApiKey::Query(query)))
        .build()
}

fn name<T: ToSchema>() -> String {
    T::name().into_owned()
}

/// The codes of each status.
const ERRORS: &[(u16, &[&str])] = &[
    (400, &["bad_head", "bad_query", "bad_body", "not_json", "not_an_object", "bad_upgrade", "not_tls"]),
    (401, &["auth_missing", "auth_wrong", "token_missing", "token_wrong", "token_invalid", "token_expired"]),
    (403, &["channel_full", "origin_not_allowed", "not_local", "token_not_for_channel", "token_without_right"]),
    (404, &["not_found", "no_such_channel"]),
    (405, &["method_not_allowed"]),
    (408, &["request_timeout"]),
    (409, &["id_taken"]),
    (411, &["body_missing"]),
    (413, &["body_too_long"]),
    (414, &["uri_too_long"]),
    (415, &["unsupported_media_type"]),
    (417, &["bad_head"]),
    (422, &["unknown_field", "unknown_parameter", "repeated_field", "missing_field", "invalid_field"]),
    (426, &["bad_upgrade"]),
    (429, &["rate_limit_exceeded", "too_many_connections_from_address", "too_many_channels_from_address"]),
    (431, &["bad_head"]),
    (501, &["bad_head", "method_unknown"]),
    (503, &["unavailable", "too_many_connections", "too_many_channels", "out_of_memory"]),
    (505, &["bad_head"]),
];

/// What any request can be refused with.
const COMMON_ERRORS: &[u16] = &[400, 401, 405, 408, 413, 414, 417, 429, 431, 501, 503, 505];

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::super::ApiError;
    use super::*;
    use crate::channel::ChannelId;
    use crate::http::upgrade::UpgradeError;
    use crate::http::{ChunkedError, Ending, HeadError, HttpDate, Method};
    use crate::pages::GUIDE;
    use crate::route::{Action, route};

    fn parsed(browser_only: bool) -> Value {
        serde_json::from_str(&document("http://relay:8080", browser_only)).unwrap()
    }

    fn method(name: &str) -> Method {
        match name {
            "get" => Method::Get,
            "head" => Method::Head,
            "post" => Method::Post,
            "delete" => Method::Delete,
            other => panic!("{other} is no method of a resource"),
        }
    }

    #[test]
    fn every_path_described_is_there_with_all_its_methods() {
        for browser_only in [false, true] {
            let document = parsed(browser_only);
            for (path, item) in document["paths"].as_object().unwrap() {
                let path = path.replace("{id}", "x");
                let described: Vec<&String> = item.as_object().unwrap().keys().collect();
                for name in &described {
                    assert!(route(method(name), &path, browser_only).is_ok(), "{name} {path}");
                }
                let Ok(Action::Options(allow) | Action::AdministrationOptions(allow)) =
                    route(Method::Options, &path, browser_only)
                else {
                    panic!("{path} has no options");
                };
                for name in allow.split(", ").filter(|name| *name != "OPTIONS") {
                    let name = name.to_ascii_lowercase();
                    // A channel called `create` is deleted as any other.
                    let is_any_channel = path == "/channels/create" && name == "delete";
                    assert!(is_any_channel || described.contains(&&name), "{name} {path} is not described");
                }
            }
        }
    }

    #[test]
    fn every_reference_leads_somewhere_and_operations_have_names_of_their_own() {
        fn visit(value: &Value, found: &mut Vec<String>) {
            match value {
                Value::Object(members) => {
                    if let Some(Value::String(reference)) = members.get("$ref") {
                        found.push(reference.clone());
                    }
                    members.values().for_each(|member| visit(member, found));
                }
                Value::Array(items) => items.iter().for_each(|item| visit(item, found)),
                _ => {}
            }
        }
        let document = parsed(true);
        let mut references = Vec::new();
        visit(&document, &mut references);
        assert!(references.len() > 20);
        for reference in references {
            assert!(document.pointer(&reference[1..]).is_some(), "{reference}");
        }
        let operations =
            document["paths"].as_object().unwrap().values().flat_map(|item| item.as_object().unwrap().values());
        let mut ids: Vec<_> = operations.map(|operation| operation["operationId"].as_str().unwrap()).collect();
        let count = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), count);
    }

    #[test]
    fn every_error_is_described() {
        let text = String::new;
        for error in [
            ApiError::Head(HeadError::Field),
            ApiError::Head(HeadError::Version),
            ApiError::Head(HeadError::TooLong),
            ApiError::Head(HeadError::TargetTooLong),
            ApiError::Head(HeadError::Expectation),
            ApiError::Head(HeadError::CodingUnknown),
            ApiError::Chunked(ChunkedError::Malformed),
            ApiError::BodyTooLong { len_max: 1 },
            ApiError::RequestTimeout,
            ApiError::NotTls,
            ApiError::NoSuchPath,
            ApiError::NoSuchChannel,
            ApiError::MethodNotAllowed { allow: "" },
            ApiError::MethodUnknown,
            ApiError::Query,
            ApiError::BodyMissing,
            ApiError::MediaType,
            ApiError::NotJson { line: 1, column: 1 },
            ApiError::NotAnObject,
            ApiError::UnknownField { name: text(), known: "" },
            ApiError::UnknownParameter { name: text(), known: "" },
            ApiError::RepeatedField { name: text() },
            ApiError::MissingField { name: "", allowed: text() },
            ApiError::InvalidField { name: "", was: text(), allowed: text() },
            ApiError::IdTaken(ChannelId::parse("x").unwrap()),
            ApiError::Upgrade(UpgradeError::NotAsked),
            ApiError::Upgrade(UpgradeError::Key),
            ApiError::TokenMissing,
            ApiError::TokenWrong,
            ApiError::ChannelFull,
            ApiError::AuthMissing,
            ApiError::AuthWrong,
            ApiError::OriginNotAllowed,
            ApiError::NotLocal,
            ApiError::AuthOrJwtMissing,
            ApiError::JwtInvalid { why: "" },
            ApiError::JwtExpired,
            ApiError::JwtNotForChannel,
            ApiError::JwtWithoutRight { needed: "" },
            ApiError::ConnectionRate { wait: std::time::Duration::ZERO },
            ApiError::RequestRate { wait: std::time::Duration::ZERO },
            ApiError::TooManyConnectionsFromAddress,
            ApiError::TooManyChannelsFromAddress,
            ApiError::TooManyConnections,
            ApiError::TooManyChannels,
            ApiError::OutOfMemory,
            ApiError::Unavailable,
        ] {
            let (status, code) = error.status_and_code();
            let mut answer = Vec::new();
            error.response().write(&mut answer, HttpDate::from_unix(0), Ending::Close, false);
            let says_when = String::from_utf8(answer).unwrap().contains("\r\nRetry-After: ");
            assert_eq!(says_when, matches!(status.code, 429 | 503), "{} {code}", status.code);
            let is_told = |line: &str| {
                let has_status = line.split('|').nth(1).is_some_and(|cell| cell.contains(&status.code.to_string()));
                has_status && line.contains(&format!("`{code}`"))
            };
            assert!(GUIDE.lines().any(is_told), "the guide lacks {} {code}", status.code);
            let described = ERRORS.iter().find(|(described, _)| *described == status.code);
            assert!(described.is_some_and(|(_, codes)| codes.contains(&code)), "{} {code}", status.code);
        }
    }
}
