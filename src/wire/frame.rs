//! A message on the wire: four bytes of size, a header, the message.

use super::api::{Message, Request};
use super::header::{RequestHeader, ResponseHeader};
use super::writer::{EncodeError, Gap, Misfit, Writer};

/// A request or response ready to be sent. Where it carries [`super::Records::Gap`]s it has
/// holes: its size counts them, and the sender puts the batches in as it sends, from a file or
/// from buffers of their own, so that they are neither re-encoded nor copied together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    bytes: Vec<u8>,
    gaps: Vec<Gap>,
}

/// What to send next of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece<'f> {
    /// These bytes.
    Bytes(&'f [u8]),
    /// So many bytes of the sender's: the records of the next gap, in the message's order.
    Gap(usize),
}

impl Frame {
    /// How many bytes are to be sent, gaps and the four bytes of size included.
    pub fn len(&self) -> usize {
        self.bytes.len() + self.gaps.iter().map(|gap| gap.len).sum::<usize>()
    }

    /// Whether there is nothing to send; never so for an encoded message.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What to send, in order. Without gaps it is one piece.
    pub fn pieces(&self) -> impl Iterator<Item = Piece<'_>> {
        let starts = std::iter::once(0).chain(self.gaps.iter().map(|gap| gap.at));
        let ends = self.gaps.iter().map(|gap| gap.at).chain([self.bytes.len()]);
        let gaps = self.gaps.iter().map(|gap| Some(Piece::Gap(gap.len))).chain([None]);
        starts.zip(ends).zip(gaps).flat_map(|((start, end), gap)| {
            let bytes = self.bytes.get(start..end).filter(|bytes| !bytes.is_empty());
            bytes.map(Piece::Bytes).into_iter().chain(gap)
        })
    }

    fn new(mut w: Writer) -> Result<Self, EncodeError> {
        w.check()?;
        w.enter("a frame");
        let size = w.bytes.len() - 4 + w.gaps.iter().map(|gap| gap.len).sum::<usize>();
        match (i32::try_from(size), w.bytes.first_chunk_mut()) {
            (Ok(size), Some(head)) => *head = size.to_be_bytes(),
            _ => w.fail(Misfit::Length(size)),
        }
        w.check()?;
        Ok(Self { bytes: w.bytes, gaps: w.gaps })
    }
}

/// The frame of a request.
///
/// # Errors
/// If the version is not served, or has no form for a value.
pub fn encode_request<'a, R: Request<'a>>(
    request: &R,
    version: i16,
    correlation_id: i32,
    client_id: Option<&str>,
) -> Result<Frame, EncodeError> {
    let mut w = Writer::new();
    w.i32(0);
    let header = RequestHeader {
        api_key: R::API.key as i16,
        api_version: version,
        correlation_id,
        client_id: client_id.map(Into::into),
    };
    header.write(&mut w);
    request.encode_to(&mut w, version);
    Frame::new(w)
}

/// The frame of a response to a request of that version.
///
/// # Errors
/// If the version is not served, or has no form for a value.
pub fn encode_response<'a, M: Message<'a>>(
    response: &M,
    version: i16,
    correlation_id: i32,
) -> Result<Frame, EncodeError> {
    let mut w = Writer::new();
    w.i32(0);
    ResponseHeader { correlation_id }.write(&mut w, M::API, version);
    response.encode_to(&mut w, version);
    Frame::new(w)
}

#[cfg(test)]
mod tests {
    use super::super::messages::{
        FetchResponse, FetchResponsePartition, FetchResponseTopic, HeartbeatResponse, ProduceRequest,
        ProduceRequestPartition, ProduceRequestTopic,
    };
    use super::super::{Reader, Records};
    use super::*;

    /// What arrives if `fill` is put into the gaps.
    fn sent(frame: &Frame, fill: &[&[u8]]) -> Vec<u8> {
        let mut fill = fill.iter();
        let mut sent = Vec::new();
        for piece in frame.pieces() {
            match piece {
                Piece::Bytes(bytes) => sent.extend_from_slice(bytes),
                Piece::Gap(len) => {
                    let records = fill.next().unwrap();
                    assert_eq!(records.len(), len);
                    sent.extend_from_slice(records);
                }
            }
        }
        assert_eq!(sent.len(), frame.len());
        sent
    }

    fn fetched<'a>(records: &[Records<'a>]) -> FetchResponse<'a> {
        let partitions = records
            .iter()
            .map(|records| FetchResponsePartition { records: Some(*records), ..Default::default() });
        let topic = FetchResponseTopic { topic: "orders".into(), partitions: partitions.collect() };
        FetchResponse { responses: vec![topic], ..Default::default() }
    }

    #[test]
    fn gaps_filled_by_the_sender_are_the_same_bytes() {
        let (a, b) = ([1u8; 300], [2u8; 5]);
        for version in 4..=12 {
            let whole = fetched(&[Records::Bytes(&a), Records::Bytes(&[]), Records::Bytes(&b)]);
            let gaps = fetched(&[Records::Gap(300), Records::Gap(0), Records::Gap(5)]);
            let whole = encode_response(&whole, version, 4).unwrap();
            let gaps = encode_response(&gaps, version, 4).unwrap();
            assert_eq!(whole.pieces().count(), 1);
            // The flexible version has tags after the last records.
            assert_eq!(gaps.pieces().count(), if version < 12 { 4 } else { 5 });
            let bytes = sent(&gaps, &[&a, &b]);
            assert_eq!(bytes, sent(&whole, &[]));
            assert_eq!(bytes[..4], (bytes.len() as i32 - 4).to_be_bytes());
        }
    }

    #[test]
    fn a_request_is_read_by_its_header() {
        let partition = ProduceRequestPartition { index: 3, records: Some(Records::Bytes(b"x")) };
        let topic = ProduceRequestTopic { name: "t".into(), partition_data: vec![partition] };
        let request =
            ProduceRequest { acks: -1, timeout_ms: 5, topic_data: vec![topic], ..Default::default() };
        for version in 3..=11 {
            let bytes = sent(&encode_request(&request, version, 8, Some("me")).unwrap(), &[]);
            let mut r = Reader::new(&bytes[4..]);
            let header = RequestHeader::read(&mut r).unwrap();
            assert_eq!(header.client_id.as_deref(), Some("me"));
            assert_eq!(ProduceRequest::decode_from(&mut r, header.api_version).unwrap(), request);
            assert_eq!(r.finish(), Ok(()));
        }
    }

    #[test]
    fn a_frame_too_large_for_its_size_is_refused() {
        let response = fetched(&[Records::Gap(i32::MAX as usize), Records::Gap(9)]);
        let error = encode_response(&response, 11, 0).unwrap_err();
        assert!(matches!(error.problem, Misfit::Length(_)), "{error}");
        assert!(encode_response(&HeartbeatResponse::default(), 9, 0).is_err());
    }
}
