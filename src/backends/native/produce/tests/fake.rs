//! Brokers that do as a test says: real sockets, a thread for each connection.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use super::text;
use crate::wire::batch::BatchHead;
use crate::wire::messages::{
    ApiVersionsResponse, InitProducerIdResponse, MetadataBroker, MetadataPartition, MetadataResponse,
    MetadataTopic, ProduceLeader, ProduceNode, ProduceRequest, ProduceResponse, ProduceResponsePartition,
    ProduceResponseTopic,
};
use crate::wire::records::{Part, Unpacker, Walk};
use crate::wire::{ApiKey, Message, Piece, Reader, RequestHeader, encode_response};

/// A batch as it arrived.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Came {
    pub(super) node: usize,
    /// The connection, over all brokers.
    pub(super) connection: usize,
    pub(super) at: Instant,
    pub(super) partition: i32,
    /// Producer's epoch and first sequence number.
    pub(super) stamp: (i16, i32),
    pub(super) values: Vec<String>,
}

/// What a broker does with a Produce request.
#[derive(Debug, Clone)]
pub(super) enum Does {
    /// Takes it.
    Takes,
    /// Takes it, and tells to wait so many ms.
    Throttles(i32),
    /// Refuses the batch of a partition with a code, and takes the others.
    Refuses(i32, i16),
    /// It no longer leads the partition: the broker of this index does.
    Points(i32, usize),
    /// Takes it and answers these bytes, the size first.
    Says(Vec<u8>),
    /// Takes it, and answers for another partition.
    Confuses,
    /// Takes it, and closes instead of an answer.
    Drops,
    /// Closes without taking it.
    Closes,
    /// Takes nothing and says nothing.
    Sleeps,
}

/// What all brokers share.
#[derive(Debug, Default)]
pub(super) struct World {
    /// The index of the broker that leads each partition.
    pub(super) leaders: Vec<Option<usize>>,
    pub(super) epoch: i32,
    /// What metadata says is wrong with the topic.
    pub(super) topic_error: i16,
    /// What is done with the next requests; then they are taken.
    pub(super) script: Vec<Does>,
    pub(super) came: Vec<Came>,
    /// What was taken, by partition.
    pub(super) taken: HashMap<i32, Vec<String>>,
    connections: usize,
    /// More connections than that are closed at once (`max.connections.per.ip`), or get no answer (`max.connections`).
    pub(super) most: Option<usize>,
    pub(super) is_silent_beyond: bool,
}

/// A cluster of these with the topic `t`.
pub(super) struct Fake {
    pub(super) addrs: Vec<SocketAddr>,
    world: Arc<Mutex<World>>,
}

impl Fake {
    /// So many brokers; partitions are led by those of these indexes.
    pub(super) fn start(nodes: usize, leaders: &[Option<usize>]) -> Self {
        let world = World { leaders: leaders.to_vec(), ..World::default() };
        let world = Arc::new(Mutex::new(world));
        let listeners: Vec<_> = (0..nodes).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let addrs: Vec<_> = listeners.iter().map(|listener| listener.local_addr().unwrap()).collect();
        for (node, listener) in listeners.into_iter().enumerate() {
            let (world, addrs) = (Arc::clone(&world), addrs.clone());
            // They end with the process.
            std::thread::spawn(move || {
                for stream in listener.incoming().flatten() {
                    let (world, addrs) = (Arc::clone(&world), addrs.clone());
                    std::thread::spawn(move || serve(stream, node, &addrs, &world));
                }
            });
        }
        Self { addrs, world }
    }

    pub(super) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }

    pub(super) fn script(&self, script: impl IntoIterator<Item = Does>) {
        self.world().script = script.into_iter().collect();
    }

    pub(super) fn address(&self) -> String {
        self.addrs[0].to_string()
    }

    /// What was taken of a partition, once each in the order of the first time.
    pub(super) fn taken(&self, partition: i32) -> Vec<String> {
        self.world().taken.get(&partition).cloned().unwrap_or_default()
    }
}

fn serve(mut stream: TcpStream, node: usize, addrs: &[SocketAddr], world: &Mutex<World>) -> Option<()> {
    let connection = {
        let mut world = world.lock().unwrap();
        if world.most.is_some_and(|most| world.connections >= most) {
            let is_silent = world.is_silent_beyond;
            drop(world);
            return is_silent.then(|| drop(stream.read_to_end(&mut Vec::new())));
        }
        world.connections += 1;
        world.connections
    };
    loop {
        let mut size = [0; 4];
        stream.read_exact(&mut size).ok()?;
        let mut frame = vec![0; u32::from_be_bytes(size) as usize];
        stream.read_exact(&mut frame).ok()?;
        let mut r = Reader::new(&frame);
        let header = RequestHeader::read(&mut r).unwrap();
        let (api, _) = header.api().unwrap();
        let (version, id) = (header.api_version, header.correlation_id);
        let body = &frame[r.position()..];
        let answer = match api.key {
            ApiKey::ApiVersions => {
                let api_keys = ApiVersionsResponse::served();
                encoded(&ApiVersionsResponse { api_keys, ..Default::default() }, version, id)
            }
            ApiKey::Metadata => encoded(&metadata(addrs, &world.lock().unwrap()), version, id),
            ApiKey::InitProducerId => {
                encoded(&InitProducerIdResponse { producer_id: 7, ..Default::default() }, version, id)
            }
            ApiKey::Produce => {
                let request = ProduceRequest::decode(body, version).unwrap();
                let (does, came) = take(&mut world.lock().unwrap(), (node, connection), &request);
                match does {
                    Does::Says(bytes) => bytes,
                    Does::Sleeps => continue,
                    Does::Drops | Does::Closes => return None,
                    _ if request.acks == 0 => continue,
                    does => encoded(&said(&does, &came, addrs, &world.lock().unwrap()), version, id),
                }
            }
            other => panic!("{other:?}"),
        };
        stream.write_all(&answer).ok()?;
    }
}

pub(super) fn encoded<'a, M: Message<'a>>(response: &M, version: i16, id: i32) -> Vec<u8> {
    let frame = encode_response(response, version, id).unwrap();
    let pieces = frame.pieces().map(|piece| match piece {
        Piece::Bytes(bytes) => bytes.to_vec(),
        Piece::Gap(_) => panic!("a gap in a response"),
    });
    pieces.collect::<Vec<_>>().concat()
}

fn metadata(addrs: &[SocketAddr], world: &World) -> MetadataResponse<'static> {
    let broker = |(id, addr): (usize, &SocketAddr)| MetadataBroker {
        node_id: id as i32,
        host: addr.ip().to_string().into(),
        port: i32::from(addr.port()),
        rack: None,
    };
    let partition = |(index, leader): (usize, &Option<usize>)| MetadataPartition {
        error_code: if leader.is_some() { 0 } else { 5 },
        partition_index: index as i32,
        leader_id: leader.map_or(-1, |leader| leader as i32),
        leader_epoch: world.epoch,
        ..Default::default()
    };
    let partitions = match world.topic_error {
        0 => world.leaders.iter().enumerate().map(partition).collect(),
        _ => Vec::new(),
    };
    let topic = MetadataTopic {
        error_code: world.topic_error,
        name: Some("t".into()),
        partitions,
        ..Default::default()
    };
    let brokers = addrs.iter().enumerate().map(broker).collect();
    MetadataResponse { brokers, topics: vec![topic], ..Default::default() }
}

/// Notes what came, and takes what is to be taken.
fn take(
    world: &mut World,
    (node, connection): (usize, usize),
    request: &ProduceRequest<'_>,
) -> (Does, Vec<Came>) {
    let mut does = if world.script.is_empty() { Does::Takes } else { world.script.remove(0) };
    if let Does::Points(partition, leader) = does {
        world.leaders[partition as usize] = Some(leader);
        world.epoch += 1;
    }
    let mut all = Vec::new();
    for partition in &request.topic_data[0].partition_data {
        let bytes = partition.records.unwrap().bytes();
        let leads = world.leaders[partition.index as usize] == Some(node);
        if !leads && matches!(does, Does::Takes) {
            does = Does::Refuses(partition.index, 6);
        }
        let head = BatchHead::read(bytes).unwrap().unwrap();
        let (mut walk, mut unpacker, mut values) = (Walk::new(bytes, 0), Unpacker::new(), Vec::new());
        while let Some(part) = walk.next_part(&mut unpacker) {
            let Part::Records(records) = part.unwrap() else { panic!("not records") };
            values.extend(records.map(|record| text(record.unwrap().value)));
        }
        let came = Came {
            node,
            connection,
            at: Instant::now(),
            partition: partition.index,
            stamp: (head.producer_epoch, head.base_sequence),
            values,
        };
        let refused = match does {
            Does::Closes | Does::Sleeps => true,
            Does::Refuses(of, _) | Does::Points(of, _) => of == partition.index,
            _ => false,
        };
        // A batch that came before is known by its sequence numbers.
        let again = world.came.iter().any(|other| {
            (other.stamp, other.partition, &other.values) == (came.stamp, came.partition, &came.values)
        });
        let known = again && head.producer_id >= 0 && taken_before(world, &came);
        if !refused && !known {
            world.taken.entry(partition.index).or_default().extend(came.values.iter().cloned());
        }
        world.came.push(came.clone());
        all.push(came);
    }
    (does, all)
}

fn taken_before(world: &World, came: &Came) -> bool {
    world.taken.get(&came.partition).is_some_and(|taken| taken.contains(&came.values[0]))
}

fn said(does: &Does, came: &[Came], addrs: &[SocketAddr], world: &World) -> ProduceResponse<'static> {
    let mut response = ProduceResponse::default();
    let mut partitions: Vec<_> = came
        .iter()
        .map(|came| ProduceResponsePartition { index: came.partition, ..Default::default() })
        .collect();
    for said in &mut partitions {
        match does {
            Does::Throttles(time) => response.throttle_time_ms = *time,
            Does::Refuses(of, code) if *of == said.index => said.error_code = *code,
            Does::Points(of, node) if *of == said.index => {
                said.error_code = 6;
                said.current_leader = ProduceLeader { leader_id: *node as i32, leader_epoch: world.epoch };
                response.node_endpoints = vec![ProduceNode {
                    node_id: *node as i32,
                    host: addrs[*node].ip().to_string().into(),
                    port: i32::from(addrs[*node].port()),
                    rack: None,
                }];
            }
            Does::Confuses => said.index += 1000,
            _ => {}
        }
    }
    response.responses = vec![ProduceResponseTopic { name: "t".into(), partition_responses: partitions }];
    response
}
