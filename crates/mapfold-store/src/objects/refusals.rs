//! Refusals whose document breaks off on its way: the status is the answer, the document only explains it.
//!
//! object_store reads the document of a refusal and takes a broken one for a failure of the network, which it does not
//! ask again: "not found" would end a job because three lines of XML did not come. Bodies of objects are not touched.

use std::pin::Pin;

use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpRequest, HttpResponse, HttpService, ReqwestConnector,
};

/// Makes the usual client, and puts [`Refusals`] before it.
#[derive(Debug, Default)]
pub(super) struct Connector(ReqwestConnector);

impl HttpConnector for Connector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(Refusals(self.0.connect(options)?)))
    }
}

#[derive(Debug)]
struct Refusals(HttpClient);

impl Refusals {
    async fn answer(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let answer = self.0.execute(request).await?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        let (head, body) = answer.into_parts();
        let document = body.bytes().await.unwrap_or_else(|error| {
            tracing::debug!(status = %head.status, %error, "the document of a refusal broke off");
            bytes::Bytes::new()
        });
        Ok(HttpResponse::from_parts(head, document.into()))
    }
}

impl HttpService for Refusals {
    fn call<'service, 'answer>(
        &'service self,
        request: HttpRequest,
    ) -> Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send + 'answer>>
    where
        'service: 'answer,
        Self: 'answer,
    {
        Box::pin(self.answer(request))
    }
}
