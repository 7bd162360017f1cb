//! Charts as SVG. Every figure that is drawn is there in full, too: as `data-` attributes, and as a title to point at.

use std::fmt::Write;

use super::escape;

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 260.0;
/// Room for the labels.
const LEFT: f64 = 64.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 44.0;

/// A line of a chart.
#[derive(Debug)]
pub(super) struct Series {
    pub(super) name: String,
    pub(super) points: Vec<(f64, f64)>,
}

/// How places along the bottom are spaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Across {
    /// Evenly.
    Seconds,
    /// By how rare what is above is: 90, 99, 99.9 are as far from each other.
    Percentiles,
}

impl Across {
    fn place(self, x: f64) -> f64 {
        match self {
            Self::Seconds => x,
            Self::Percentiles => -(1.0 - x.min(99.999) / 100.0).log10(),
        }
    }

    fn label(self) -> &'static str {
        match self {
            Self::Seconds => "seconds",
            Self::Percentiles => "percentile",
        }
    }

    /// Where to write something, and what.
    fn ticks(self, most: f64) -> Vec<(f64, String)> {
        match self {
            Self::Seconds => (0..=4).map(|n| f64::from(n) * most / 4.0).map(|x| (x, short(x))).collect(),
            Self::Percentiles => [50.0, 90.0, 99.0, 99.9, 99.99].map(|x| (x, format!("{x}"))).to_vec(),
        }
    }
}

/// A chart of lines from 0 upwards. Writing to a String does not fail.
pub(super) fn lines(name: &str, across: Across, unit: &str, series: &[Series]) -> String {
    let points = || series.iter().flat_map(|series| series.points.iter().copied());
    let most = points().fold(0.0, |most: f64, (x, _)| most.max(x));
    let right = points().fold(f64::MIN_POSITIVE, |right: f64, (x, _)| right.max(across.place(x)));
    let top = round_up(points().fold(0.0, |top: f64, (_, y)| top.max(y)));
    let x = |x: f64| LEFT + across.place(x) / right * (WIDTH - LEFT - RIGHT);
    let y = |y: f64| HEIGHT - BOTTOM - y / top * (HEIGHT - TOP - BOTTOM);
    let mut svg = open(name);
    grid(&mut svg, top, unit, &y);
    for (at, label) in across.ticks(most).into_iter().filter(|(at, _)| *at <= most) {
        let anchor = if x(at) > WIDTH - 2.0 * RIGHT { "end" } else { "middle" };
        text(&mut svg, (x(at).min(WIDTH - RIGHT), HEIGHT - BOTTOM + 16.0), anchor, &label);
    }
    text(&mut svg, ((LEFT + WIDTH) / 2.0, HEIGHT - 6.0), "middle", across.label());
    for (n, series) in series.iter().enumerate() {
        let color = n % 4;
        let at: Vec<String> = series.points.iter().map(|p| format!("{:.1},{:.1}", x(p.0), y(p.1))).collect();
        let data: Vec<String> = series.points.iter().map(|(x, y)| format!("{x}:{y}")).collect();
        let _ = write!(
            svg,
            "<polyline class=\"line c{color}\" data-series=\"{}\" data-points=\"{}\" points=\"{}\"/>",
            escape(&series.name),
            data.join(" "),
            at.join(" ")
        );
        if series.points.len() <= 40 {
            for (px, py) in &series.points {
                let _ = write!(
                    svg,
                    "<circle class=\"dot c{color}\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"3\"><title>{}: {px} {}, {} {unit}</title></circle>",
                    x(*px),
                    y(*py),
                    escape(&series.name),
                    across.label(),
                    short(*py)
                );
            }
        }
    }
    svg.push_str("</svg>");
    svg + &legend(series.iter().map(|series| series.name.as_str()))
}

/// A bar of a chart: a value, and the ends of its spread.
#[derive(Debug)]
pub(super) struct Bar {
    pub(super) name: String,
    pub(super) value: f64,
    pub(super) ends: (f64, f64),
}

/// Room for a bar, and for the names before them.
const BAR: f64 = 44.0;
const NAMES: f64 = 110.0;

/// Bars from left to right, one below the other. `shown` writes a value for people.
pub(super) fn bars(name: &str, bars: &[Bar], shown: impl Fn(f64) -> String) -> String {
    let height = BAR * bars.len() as f64 + 8.0;
    let most = bars.iter().fold(f64::MIN_POSITIVE, |most, bar| most.max(bar.ends.1).max(bar.value));
    let x = |value: f64| NAMES + value / most * (WIDTH - NAMES - 150.0);
    let mut svg = format!(
        "<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"{0}\" data-chart=\"{0}\">",
        escape(name)
    );
    for (n, bar) in bars.iter().enumerate() {
        let (top, middle) = (BAR * n as f64 + 8.0, BAR * n as f64 + 24.0);
        let (color, ends) = (n % 4, bar.ends);
        text(&mut svg, (NAMES - 8.0, middle + 4.0), "end", &bar.name);
        let _ = write!(
            svg,
            "<rect class=\"bar c{color}\" data-bar=\"{}\" data-value=\"{}\" data-min=\"{}\" data-max=\"{}\" \
             x=\"{NAMES}\" y=\"{top}\" width=\"{:.1}\" height=\"32\"/>\
             <path class=\"spread\" d=\"M{:.1} {middle}H{:.1}M{:.1} {top}v32M{:.1} {top}v32\"/>",
            escape(&bar.name),
            bar.value,
            ends.0,
            ends.1,
            x(bar.value) - NAMES,
            x(ends.0),
            x(ends.1),
            x(ends.0),
            x(ends.1),
        );
        text(&mut svg, (x(bar.value.max(ends.1)) + 8.0, middle + 4.0), "start", &shown(bar.value));
    }
    svg + "</svg>"
}

fn open(name: &str) -> String {
    format!(
        "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{0}\" data-chart=\"{0}\">",
        escape(name)
    )
}

fn grid(svg: &mut String, top: f64, unit: &str, y: &dyn Fn(f64) -> f64) {
    for n in 0..=4 {
        let value = top * f64::from(n) / 4.0;
        let at = y(value);
        let _ = write!(svg, "<path class=\"grid\" d=\"M{LEFT} {at:.1}H{:.1}\"/>", WIDTH - RIGHT);
        let label = if n == 4 { format!("{} {unit}", short(value)) } else { short(value) };
        text(svg, (LEFT - 6.0, at + 4.0), "end", &label);
    }
}

fn text(svg: &mut String, (x, y): (f64, f64), anchor: &str, text: &str) {
    let _ = write!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{}</text>", escape(text));
}

fn legend<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let mut html = "<p class=\"legend\">".to_owned();
    for (n, name) in names.enumerate() {
        let _ = write!(html, "<span class=\"c{}\">&#9632;</span> {} ", n % 4, escape(name));
    }
    html + "</p>"
}

/// The next of 1, 2, 5, 10, 20, ... that is no less, so that quarters of it are round.
fn round_up(value: f64) -> f64 {
    if value <= 0.0 {
        return 1.0;
    }
    let power = 10f64.powf(value.log10().floor());
    [1.0, 2.0, 4.0, 5.0, 8.0, 10.0]
        .map(|n| n * power)
        .into_iter()
        .find(|n| *n >= value)
        .unwrap_or(10.0 * power)
}

/// A number in few characters.
pub(super) fn short(value: f64) -> String {
    let (scaled, unit) = match value.abs() {
        v if v >= 999_500_000.0 => (value / 1e9, "G"),
        v if v >= 999_500.0 => (value / 1e6, "M"),
        v if v >= 9_995.0 => (value / 1e3, "k"),
        _ => (value, ""),
    };
    let digits = if scaled.fract().abs() < 0.005 || scaled.abs() >= 100.0 { 0 } else { 2 };
    let text = format!("{scaled:.digits$}");
    let text = if digits > 0 { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text}{unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_carries_its_points_and_stays_in_the_chart() {
        let series = [Series { name: "a<b".into(), points: vec![(50.0, 10.0), (99.99, 4000.0)] }];
        let svg = lines("latency", Across::Percentiles, "us", &series);
        assert!(svg.contains("data-series=\"a&lt;b\" data-points=\"50:10 99.99:4000\""), "{svg}");
        assert!(svg.contains(&format!("{:.1},{TOP:.1}", WIDTH - RIGHT)), "{svg}");
        assert!(svg.contains("<title>a&lt;b: 99.99 percentile, 4000 us</title>"), "{svg}");
    }

    #[test]
    fn a_chart_of_nothing_has_no_odd_numbers() {
        for svg in [lines("n", Across::Seconds, "us", &[]), bars("n", &[], short)] {
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        }
        let series = [Series { name: "s".into(), points: vec![(0.0, 0.0)] }];
        let svg = lines("n", Across::Seconds, "us", &series);
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    }

    #[test]
    fn a_bar_is_as_long_as_its_value() {
        let bar = |name: &str, value| Bar { name: name.into(), value, ends: (value - 1.0, value + 1.0) };
        let svg = bars("rate", &[bar("one", 99.0), bar("half", 49.5)], short);
        let width = |name: &str| {
            let rest = svg.split(&format!("data-bar=\"{name}\"")).nth(1).unwrap();
            rest.split("width=\"").nth(1).unwrap().split('"').next().unwrap().parse::<f64>().unwrap()
        };
        assert!((width("one") - 2.0 * width("half")).abs() < 0.2, "{svg}");
        assert!(svg.contains("data-value=\"99\" data-min=\"98\" data-max=\"100\""), "{svg}");
    }

    #[test]
    fn numbers_are_short_and_tops_are_round() {
        let cases =
            [(0.0, "0"), (0.5, "0.5"), (1234.0, "1234"), (12_340.0, "12.34k"), (2e6, "2M"), (3.2e9, "3.2G")];
        for (value, text) in cases {
            assert_eq!(short(value), text);
        }
        assert_eq!([0.0, 0.7, 1.0, 3.0, 450.0, 9001.0].map(round_up), [1.0, 0.8, 1.0, 4.0, 500.0, 10_000.0]);
    }
}
